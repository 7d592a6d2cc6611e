#!/usr/bin/env python3
"""Checks and times the training stage on this machine's GPU, beside PyTorch; writes result.json and result.md.

Runs from the folder that `make bench-gpu-folder` fills, which may have been carried here: what it needs of the machine is Python
with torch 2.11 and an NVIDIA driver, no Rust and no network. What fails, or would take too long, keeps a row with the reason.

    python3 run.py                       eight minutes at most
    python3 run.py --device cpu --quick  tiny models: whether all of it works
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

HERE = Path(__file__).resolve().parent


@dataclasses.dataclass
class Size:
    """A model and its batch."""

    name: str
    ndf: int
    n_rkhs: int
    n_depth: int
    batch_size: int

    def words(self):
        return ["--ndf", self.ndf, "--n-rkhs", self.n_rkhs, "--n-depth", self.n_depth, "--batch-size", self.batch_size]


LARGE, SMALL = Size("192/1536/8", 192, 1536, 8, 128), Size("64/512/3", 64, 512, 3, 256)
QUICK_LARGE, QUICK_SMALL = Size("16/128/2", 16, 128, 2, 16), Size("8/64/1", 8, 64, 1, 16)


class Failed(Exception):
    """Why there are no figures, in a line."""


class Bench:
    def __init__(self, args):
        self.args = args
        self.end = time.monotonic() + args.seconds
        self.dtype = "f32" if args.quick else "bf16"
        self.data = None
        self.results = {"checks": [], "steps": [], "feeds": [], "missing": []}

    def call(self, words, seconds):
        """The last JSON object that a command prints."""
        return self.objects(words, seconds)[-1]

    def objects(self, words, seconds, may_fail=False):
        words = [str(word) for word in words]
        left = self.end - time.monotonic()
        if left < 5:
            raise Failed("no time was left")
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=min(seconds, left), env=environment())
        except subprocess.TimeoutExpired as over:
            if not may_fail or not over.stdout:
                raise Failed(f"took more than {min(seconds, left):.0f} s") from None
            done = subprocess.CompletedProcess(words, 124, text_of(over.stdout), text_of(over.stderr))
        except OSError as error:
            raise Failed(str(error)) from None
        said = [line for line in done.stderr.splitlines() if line.strip()]
        for line in said:
            if "WARN" in line:
                print(f"  {line}", file=sys.stderr)
        objects = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if not objects or (done.returncode and not may_fail):
            raise Failed(said[-1][:300] if said else f"ended with {done.returncode}")
        return objects

    def part(self, name, work):
        """One part of the whole: what fails is listed, and the others go on."""
        start = time.monotonic()
        try:
            work()
        except Exception as why:  # whatever it is, the others go on
            said = str(why) if isinstance(why, Failed) else f"{type(why).__name__}: {why}"
            self.results["missing"].append({"what": name, "why": said})
            print(f"{name}: {said}", file=sys.stderr)
        else:
            print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
        write(self)

    # The parts.

    def device(self):
        self.results["device"] = self.call([sys.executable, HERE / "torch_step.py", "matmul", "--device", self.args.device], 60)

    def checks(self):
        words = [HERE / "gpu-bench", "check", "--device", self.args.device]
        self.results["checks"] = self.objects(words, 200, may_fail=True)

    def torch_check(self):
        check = {"check": "PyTorch's model beside the fixtures", "passed": False}
        self.results["checks"].append(check)
        check["found"] = self.call([sys.executable, HERE / "torch_step.py", "check", HERE / "fixtures"], 60)
        check["passed"] = True

    def ours(self, size, graph, profile=False):
        def work():
            words = [HERE / "gpu-bench", "step", "--device", self.args.device, *size.words(), "--precision", self.dtype,
                     "--cuda-graph", graph, *self.amount(), *(["--profile"] if profile else [])]
            found = self.call(words, 120)
            name = "ours, one graph" if found["recorded"] else "ours, kernel by kernel"
            self.results["steps"].append({"size": size.name, "batch_size": size.batch_size, "what": name, **found})
        self.part(f"our step, {size.name}, graph {graph}", work)

    def torch(self, size, mode, seconds):
        def work():
            words = [sys.executable, HERE / "torch_step.py", "time", "--device", self.args.device, *size.words(), "--mode",
                     mode, "--dtype", self.dtype, *self.amount()]
            found = self.call(words, seconds)
            name = "PyTorch, eager" if mode == "eager" else f"PyTorch, compiled ({mode})"
            self.results["steps"].append({"size": size.name, "batch_size": size.batch_size, "what": name, **found})
        self.part(f"PyTorch's step, {size.name}, {mode}", work)

    def feed(self, size, decode):
        def work():
            words = [HERE / "gpu-bench", "feed", "--device", self.args.device, *size.words(), "--precision", self.dtype,
                     "--decode", decode, "--shards", f"{self.data}/train-*.tar", *self.amount()]
            found = self.call(words, 120)
            self.results["feeds"].append({"size": size.name, "batch_size": size.batch_size, "decode": decode, **found})
        self.part(f"fed from shards, {size.name}, {decode}", work)

    def synth(self):
        count = 400 if self.args.quick else 6000
        words = [HERE / "amdim-stream", "synth", "--out", self.data, "--size", "500x375", "--count", count, "--shards", 8]
        self.objects(words, 120)

    def amount(self):
        return ["--steps", 2, "--rounds", 3] if self.args.quick else ["--steps", 10, "--rounds", 5]

    def all(self, data):
        self.data = data
        large, small = (QUICK_LARGE, QUICK_SMALL) if self.args.quick else (LARGE, SMALL)
        # What matters most comes first: time may run out.
        self.part("device", self.device)
        self.part("checks", self.checks)
        self.part("PyTorch's model", self.torch_check)
        self.ours(large, "on", profile=True)
        self.torch(large, "eager", 60)
        self.part("shards", self.synth)
        self.feed(large, "exact")
        self.feed(small, "exact")
        self.torch(large, "default", 120)
        self.torch(large, "max-autotune", 240)
        self.ours(large, "off")
        self.ours(small, "on")
        self.torch(small, "eager", 60)
        self.feed(small, "fast")
        self.torch(small, "default", 120)


def environment():
    """Our programs find libtorch beside Python's torch."""
    import importlib.util
    spec = importlib.util.find_spec("torch")
    if spec is None:
        sys.exit(f"{sys.executable} has no torch\n  hint: run this with the Python that has torch 2.11")
    torch = Path(spec.origin).parent
    paths = [torch / "lib", *sorted((torch.parent / "nvidia").glob("*/lib"))]
    old = os.environ.get("LD_LIBRARY_PATH")
    joined = ":".join([*map(str, paths), *([old] if old else [])])
    return os.environ | {"LD_LIBRARY_PATH": joined, "AMDIM_FIXTURES": str(HERE / "fixtures"), "NO_COLOR": "1"}


# The report.

def ratios(results):
    """What the issue of speed comes down to: each figure against another one of the same run."""
    flops_per_s = results.get("device", {}).get("flops_per_s")
    for size in {step["size"] for step in results["steps"]}:
        steps = [step for step in results["steps"] if step["size"] == size]
        ours = [step["ms"] for step in steps if step["what"].startswith("ours")]
        # Ours are those of convolutions and scores alone, two for each multiply-accumulate.
        counted = [step.get("flops") for step in steps] + [2 * step.get("macs", 0) for step in steps]
        flops = next((flops for flops in counted if flops), None)
        for step in steps:
            step["images_per_second"] = step["batch_size"] * 1e3 / step["ms"]
            step["ours_is_faster_by"] = step["ms"] / min(ours) if ours else None
            step["utilization"] = flops / (step["ms"] * 1e-3) / flops_per_s if flops and flops_per_s else None


def markdown(results):
    lines = ["# The training stage on a GPU", ""]
    device = results.get("device", {})
    lines += [f"{results['date']}; {device.get('device', 'no device')}, {results['cores']} CPU cores; torch {device.get('torch')}, "
              f"CUDA {device.get('cuda')}, driver {results['driver']}; {results['dtype']}.", ""]
    if device:
        lines += [f"Utilization is of {device['flops_per_s'] / 1e12:.1f} TFLOP/s, what a bf16 product of "
                  f"{device['size']}×{device['size']} reaches in this run; FLOPs are PyTorch's own count of its eager step. GB are of "
                  "tensors at most; of our graph what it holds.", ""]
    rows = [[check["check"], "yes" if check["passed"] else "**NO**", brief(check.get("found"))] for check in results["checks"]]
    lines += table(["check", "passed", "found"], rows)
    rows = [[step["size"], step["batch_size"], step["what"], f"{step['ms']:.2f}", f"{step['images_per_second']:.0f}",
             number(step["ours_is_faster_by"]), number(step["utilization"]), gigabytes(step["bytes"])]
            for step in results["steps"]]
    lines += table(["ndf/n_rkhs/n_depth", "batch", "step", "ms", "images/s", "ms ÷ our best", "utilization", "GB"], rows)
    rows = [[feed["size"], feed["batch_size"], feed["decode"], feed["workers"], f"{feed['images_per_second']:.0f}",
             f"{feed['saturation']:.3f}", f"{feed['waited']:.3f}"] for feed in results["feeds"]]
    lines += table(["ndf/n_rkhs/n_depth", "batch", "decode", "workers", "images/s from shards", "saturation", "waited for data"], rows)
    kernels = next((step["kernels"] for step in results["steps"] if step.get("kernels")), None)
    if kernels:
        rows = [[f"`{row['name'][:90]}`".replace("|", "\\|"), f"{row['calls_a_step']:.0f}", f"{row['ms_a_step']:.3f}", f"{100 * row['share']:.1f} %"]
                for row in kernels["rows"]]
        lines += [f"Kernels of our step, {kernels['ms_a_step']:.2f} ms in all:", ""]
        lines += table(["kernel", "calls a step", "ms a step", "share"], rows)
    if results["missing"]:
        lines += table(["not measured", "why"], [[row["what"], row["why"]] for row in results["missing"]])
    return "\n".join(lines)


def table(heads, rows):
    if not rows:
        return []
    line = lambda cells: "| " + " | ".join(str(cell) for cell in cells) + " |"
    return [line(heads), "|" + "---|" * len(heads), *map(line, rows), ""]


def number(value):
    return "–" if value is None else f"{value:.2f}"


def gigabytes(value):
    return "–" if value is None else f"{value / 1e9:.2f}"


def brief(found):
    if isinstance(found, dict):
        return ", ".join(f"{key} {value:.2g}" if isinstance(value, float) else f"{key} {value}" for key, value in found.items())
    return str(found or "").replace("|", "\\|").replace("\n", " ")[:200]


def driver():
    try:
        words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return "none"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--quick", action="store_true", help="tiny models in f32: whether all of it works")
    parser.add_argument("--seconds", type=float, default=460, help="after which nothing more is begun (default: 460)")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for result.json and result.md (default: this one)")
    args = parser.parse_args()
    bench = Bench(args)
    with tempfile.TemporaryDirectory() as data:
        bench.all(data)
    write(bench)
    print(markdown(bench.results))
    checks = bench.results["checks"]
    if not checks or not all(check["passed"] for check in checks):
        sys.exit("not every check passed")


def text_of(output):
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def write(bench):
    """Both files, as far as the run has come."""
    results = bench.results
    results |= {"date": datetime.date.today().isoformat(), "cores": len(os.sched_getaffinity(0)),
                               "machine": platform.platform(), "driver": driver(), "dtype": bench.dtype}
    ratios(results)
    out = bench.args.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "result.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "result.md").write_text(markdown(results) + "\n")


if __name__ == "__main__":
    main()
