#!/usr/bin/env python3
"""Checks and times the training stage on this machine's GPU, beside PyTorch. Each question is answered in a JSON file.

Runs in the folder that `make bench-gpu-folder` fills, which may be a copy from another machine. It needs Python with torch 2.11
and an NVIDIA driver, but neither Rust nor a network. A part that fails, or would take too long, keeps a row with the reason.

    python3 run.py check       does it load, compute the right results, record graphs? (7 minutes at most)
    python3 run.py steps       steps of several batches beside PyTorch's eager ones (6)
    python3 run.py compiled    PyTorch's compiled steps (9)
    python3 run.py pieces      steps with every fused piece, without each, and without all (8)
    python3 run.py feed        steps fed from shards, `plan`, and the messages when memory is short (5)
    python3 run.py processes   one process beside two: losses, images/s, and what happens when one is killed; needs two GPUs (4)
    python3 run.py             all of them, one after the other
    python3 run.py report      the tables of the existing answers

Each writes QUESTION.json and report.md into --out. `--device cpu --quick` is a trial with tiny models.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import processes
from report import answers, checks, markdown

HERE = Path(__file__).resolve().parent

# Time limit of each question in seconds; together thirty-nine minutes.
SECONDS = {"check": 420, "steps": 360, "compiled": 540, "pieces": 480, "feed": 300, "processes": 240}

# The fused pieces of a step. The last one also has a part in the feed.
PIECES = ("products", "convolutions", "norms", "scores", "input")


@dataclasses.dataclass
class Size:
    """The size of a model and its batch."""

    name: str
    ndf: int
    n_rkhs: int
    n_depth: int
    batch_size: int

    def model(self):
        return ["--ndf", self.ndf, "--n-rkhs", self.n_rkhs, "--n-depth", self.n_depth]

    def words(self):
        return [*self.model(), "--batch-size", self.batch_size]

    def of(self, batch_size):
        return dataclasses.replace(self, batch_size=batch_size)


@dataclasses.dataclass
class Model:
    """A model by its settings, and the size of its batch."""

    name: str
    settings: str
    batch_size: int

    def words(self):
        return ["--settings", self.settings, "--batch-size", self.batch_size]


LARGE, SMALL = Size("192/1536/8", 192, 1536, 8, 480), Size("64/512/3", 64, 512, 3, 256)
QUICK_LARGE, QUICK_SMALL = Size("16/128/2", 16, 128, 2, 16), Size("8/64/1", 8, 64, 1, 16)
RESNET = Model("SimCLR, ResNet-50, 224 px", "preset = 'in224'\nmethod.name = 'simclr'\nencoder.name = 'resnet50'", 256)
QUICK_RESNET = Model("SimCLR, ResNet-50 of width 8, 64 px", "side = 64\nmethod.name = 'simclr'\nencoder = { name = 'resnet50', width = 8 }", 8)


class Failed(Exception):
    """The reason why there are no figures, in one line."""


class Bench:
    """One question, with the results of its parts so far."""

    def __init__(self, question, args, scratch):
        self.args = args
        self.scratch = Path(scratch)
        self.on_gpu = args.device != "cpu"
        self.end = time.monotonic() + SECONDS[question]
        self.dtype = "f32" if args.quick else "bf16"
        self.large, self.small, self.resnet = (QUICK_LARGE, QUICK_SMALL, QUICK_RESNET) if args.quick else (LARGE, SMALL, RESNET)
        self.answer = {"question": question, "date": datetime.date.today().isoformat(), "cores": len(os.sched_getaffinity(0)),
                       "machine": platform.platform(), "driver": driver(), "on": args.device, "dtype": self.dtype, "parts": []}

    def said(self, words, seconds, may_fail=False, more=None):
        """Runs a command and returns its stdout, stderr and exit status."""
        words = [str(word) for word in words]
        left = self.end - time.monotonic()
        if left < 5:
            raise Failed("no time was left")
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=min(seconds, left), env=environment() | (more or {}))
        except subprocess.TimeoutExpired as over:
            if not may_fail or not over.stdout:
                raise Failed(f"took more than {min(seconds, left):.0f} s") from None
            done = subprocess.CompletedProcess(words, 124, text_of(over.stdout), text_of(over.stderr))
        except OSError as error:
            raise Failed(str(error)) from None
        for line in done.stderr.splitlines():
            if "WARN" in line:
                print(f"  {line}", file=sys.stderr)
        if done.returncode and not may_fail:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise Failed(" ".join(said[-2:])[:400] if said else f"ended with {done.returncode}")
        return done

    def objects(self, words, seconds, may_fail=False, more=None):
        """Runs a command and returns the JSON objects that it prints."""
        done = self.said(words, seconds, may_fail, more)
        objects = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if not objects:
            raise Failed(done.stderr.strip()[-400:] or "nothing was printed")
        if done.returncode not in (0, 1):  # the command did not reach its end
            why = "took too long" if done.returncode == 124 else f"ended with {done.returncode}: {done.stderr.strip()[-200:]}"
            objects.append({"check": "those after these", "state": "bad", "found": why})
        return objects

    def part(self, name, work, **facts):
        """Runs one part of the question. A failure is recorded, and the other parts run."""
        start = time.monotonic()
        row = {"part": name, **facts}
        try:
            row["found"] = work()
        except Exception as why:  # any failure must leave the other parts running
            row["why"] = str(why) if isinstance(why, Failed) else f"{type(why).__name__}: {why}"
        row["seconds"] = round(time.monotonic() - start, 1)
        print(f"{name}: {row.get('why') or row['seconds']}", file=sys.stderr)
        self.answer["parts"].append(row)
        write(self.args.out, self.answer)

    def ours(self, *words):
        return [HERE / "gpu-bench", words[0], "--device", self.args.device, *words[1:]]

    def program(self, *words):
        return [HERE / "amdim-stream", *words, "--device", self.args.device]

    def torch(self, *words):
        return [sys.executable, HERE / "torch_step.py", words[0], "--device", self.args.device, *words[1:]]

    def amount(self):
        return ["--steps", 2, "--rounds", 3] if self.args.quick else ["--steps", 10, "--rounds", 5]

    def shards(self):
        """Returns a pattern of synthetic shards, which are kept for later questions."""
        data, count = (HERE / "data-quick", 400) if self.args.quick else (HERE / "data", 6000)
        if not (data / "whole").exists():
            words = [HERE / "amdim-stream", "synth", "--out", data, "--size", "500x375", "--count", count, "--shards", 8, "--force"]
            self.objects(words, 120)
            (data / "whole").touch()
        return f"{data}/train-*.tar"

    # The questions.

    def check(self):
        if self.on_gpu:
            self.part("nvidia-smi", lambda: self.said(["nvidia-smi"], 20).stdout)
        self.part("doctor", lambda: self.objects(self.program("doctor", "--out", self.scratch / "r"), 60, may_fail=True))
        self.part("checks", lambda: self.objects(self.program("selftest", "--full", "--golden", HERE / "fixtures"), 200, may_fail=True))
        self.part("PyTorch's model beside the fixtures",
                  lambda: self.objects([sys.executable, HERE / "torch_step.py", "check", HERE / "fixtures"], 60)[-1])
        self.part("ceiling", lambda: self.objects(self.torch("matmul"), 60)[-1])
        self.part("a run", self.run)

    def run(self):
        """Runs the program itself for sixty steps and returns the last records."""
        out = self.scratch / "run"
        batch, steps = (16, 8) if self.args.quick else (256, 60)
        shards = self.shards()
        words = ["--shards", shards, "--val-shards", shards.replace("*", "000"), "--preset", "in128", *self.small.of(batch).words(),
                 "--steps", steps, "--out", out]
        self.said(self.program(*words), 90)
        records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        return {kind: [record for record in records if record["kind"] == kind][-1] for kind in ("train", "validation")}

    def steps(self):
        few, many = (8, 24) if self.args.quick else (128, 1000)
        self.step(self.large, profile=True)
        self.step(self.large.of(few))
        self.step(self.large.of(few), graph="off")
        self.torch_step(self.large, "eager", 60)
        self.torch_step(self.large.of(few), "eager", 60)
        self.step(self.large.of(many))
        self.step(self.large, more={"CUBLASLT_WORKSPACE_SIZE": "32768"})
        self.step(self.small)
        self.torch_step(self.small, "eager", 60)

    def compiled(self):
        few = 8 if self.args.quick else 128
        self.torch_step(self.large, "default", 170)
        self.torch_step(self.large.of(few), "max-autotune", 330)

    def pieces(self):
        few = 8 if self.args.quick else 128
        for size in (self.large, self.large.of(few), self.resnet):
            # The last one shows how far the speed of the device drifted.
            for without in ("", *PIECES, "all", ""):
                self.step_without(without, size)
        for without in ("", PIECES[-1]):
            self.feed_without(without, self.small)

    def step_without(self, without, size):
        steps = ["--steps", 2, "--rounds", 3] if self.args.quick else ["--steps", 10, "--rounds", 3]
        words = self.ours("step", *size.words(), "--precision", self.dtype, *steps, *(["--without", without] if without else []))
        self.part(f"step without {without or 'nothing'}", lambda: self.objects(words, 60)[-1], size=size.name, batch_size=size.batch_size)

    def feed_without(self, without, size):
        def fed():
            words = self.ours("feed", *size.words(), "--precision", self.dtype, "--shards", self.shards(), "--decode", "fast",
                              "--steps", 5, "--rounds", 2, *(["--without", without] if without else []))
            return self.objects(words, 60)[-1]
        self.part(f"feed without {without or 'nothing'}", fed, size=size.name, batch_size=size.batch_size)

    def step(self, size, graph="on", profile=False, more=None):
        words = self.ours("step", *size.words(), "--precision", self.dtype, "--cuda-graph", graph, *self.amount(),
                          *(["--profile"] if profile else []))
        name = " ".join(["ours, graph " + graph, *(f"{key}={value}" for key, value in (more or {}).items())])
        self.part(name, lambda: self.objects(words, 60, more=more)[-1], size=size.name, batch_size=size.batch_size)

    def torch_step(self, size, mode, seconds):
        words = self.torch("time", *size.words(), "--mode", mode, "--dtype", self.dtype, *self.amount())
        name = "PyTorch, eager" if mode == "eager" else f"PyTorch, compiled ({mode})"
        self.part(name, lambda: self.objects(words, seconds)[-1], size=size.name, batch_size=size.batch_size)

    def feed(self):
        for size, decode in ((self.large, "exact"), (self.small, "exact"), (self.small, "fast")):
            def fed(size=size, decode=decode):
                words = self.ours("feed", *size.words(), "--precision", self.dtype, "--decode", decode, "--shards", self.shards(),
                                  *self.amount())
                return self.objects(words, 90)[-1]
            self.part("fed from shards", fed, size=size.name, batch_size=size.batch_size, decode=decode)
        self.part("plan", self.plan)
        if self.on_gpu:
            # Twice as many layers as fit, and one sample more than can be indexed.
            deep = dataclasses.replace(self.large, n_depth=24, batch_size=1300)
            self.part("memory that is short", lambda: self.refused(deep, "not enough memory"))
            self.part("a batch beyond 2^31 elements", lambda: self.refused(self.large.of(1366), "cannot index"))

    def plan(self):
        size = self.large.of(24 if self.args.quick else 960)
        words = ["plan", "--gpu", *size.words(), "--shards", self.shards(), "--preset", "in128", "--steps", 100]
        return self.objects(self.program(*words, "--out", self.scratch / "r"), 100)[-1]

    def processes(self):
        if self.on_gpu:
            said = self.said([sys.executable, "-c", "import torch; print(torch.cuda.device_count())"], 60).stdout
            if int(said) < 2:
                self.part("two processes", lambda: {"skipped": f"two GPUs are needed; visible: {said.strip()}"})
                return
        # With `auto`, each process takes a GPU of its own.
        words = [HERE / "amdim-stream", "--device", "auto" if self.on_gpu else "cpu", "--shards", self.shards(), "--preset", "in128",
                 "--decode", "fast"]
        f32 = [*words, *self.small.of(16 if self.args.quick else 64).words(), "--precision", "f32", "--log-every", 1]
        size = self.small if self.args.quick else self.large
        fast = [*words, *size.words(), "--precision", self.dtype, "--log-every", 5, "--steps", 30 if self.args.quick else 60]
        self.part("losses in one and two processes", lambda: self.alike([*f32, "--steps", 20]))
        self.part("images/s in one and two processes", lambda: self.scaled(fast), size=size.name, batch_size=size.batch_size)
        for killed in (1, 0):
            out = self.scratch / f"killed-{killed}"
            self.part(f"rank {killed} of two is killed",
                      lambda: processes.after_a_kill(f32, killed, out, environment(), self.left(60)))

    def left(self, seconds):
        """Returns so many seconds, or fewer if the question ends earlier."""
        return min(seconds, self.end - time.monotonic())

    def both(self, words, name):
        """Trains in one process and in two. Returns the records of both runs."""
        return [processes.trained(words, count, self.scratch / f"{name}-{count}", environment(), self.left(90)) for count in (1, 2)]

    def alike(self, words):
        return processes.same_losses(*self.both(words, "alike"))

    def scaled(self, words):
        one, two = self.both(words, "scaled")
        rates = [processes.rate(found) for found in (one, two)]
        waited = [processes.waited(found) for found in (one, two)]
        return {"images_per_second": [round(rate, 1) for rate in rates], "ratio": rates[1] / rates[0],
                "waited_for_data": [round(share, 3) for share in waited]}

    def refused(self, size, cause):
        """Returns the message of a run that must fail with this cause and a hint."""
        words = [*size.words(), "--shards", self.shards(), "--preset", "in128", "--steps", 2]
        done = self.said(self.program(*words, "--out", self.scratch / "refused"), 60, may_fail=True)
        if done.returncode == 0 or cause not in done.stderr or "hint:" not in done.stderr:
            raise Failed(f"ended with {done.returncode}, without `{cause}` and a hint: {done.stderr.strip()[-300:]}")
        return done.stderr.strip()[-600:]


def environment():
    """Returns an environment in which our programs find the libtorch of Python's torch."""
    import importlib.util
    spec = importlib.util.find_spec("torch")
    if spec is None:
        sys.exit(f"{sys.executable} has no torch\n  hint: run this with the Python that has torch 2.11")
    torch = Path(spec.origin).parent
    paths = [torch / "lib", *sorted((torch.parent / "nvidia").glob("*/lib"))]
    old = os.environ.get("LD_LIBRARY_PATH")
    joined = ":".join([*map(str, paths), *([old] if old else [])])
    return os.environ | {"LD_LIBRARY_PATH": joined, "NO_COLOR": "1"}


def driver():
    try:
        words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "none"


def text_of(output):
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def write(out, answer):
    """Writes the answer to a question so far, and the report of all answers."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{answer['question']}.json").write_text(json.dumps(answer, indent=1) + "\n")
    (out / "report.md").write_text(markdown(answers(out, SECONDS)) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", choices=[*SECONDS, "report", []], metavar="QUESTION", help="default: all")
    parser.add_argument("--device", default="cuda:0", help="cuda, cuda:N or cpu")
    parser.add_argument("--quick", action="store_true", help="a trial with tiny models in f32")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the answers (default: results beside this file)")
    args = parser.parse_args()
    asked = args.questions or list(SECONDS)
    failed = []
    for question in (question for question in asked if question != "report"):
        with tempfile.TemporaryDirectory() as scratch:
            bench = Bench(question, args, scratch)
            write(args.out, bench.answer)
            getattr(bench, question)()
        failed += [f"{question}: {part['part']}" for part in bench.answer["parts"] if "why" in part]
        if question == "check":
            failed += [name for name, state, _ in checks({"check": bench.answer}) if state == "bad"]
    print(markdown(answers(args.out, SECONDS)))
    if failed:
        sys.exit("failed: " + ", ".join(dict.fromkeys(failed)))


if __name__ == "__main__":
    main()
