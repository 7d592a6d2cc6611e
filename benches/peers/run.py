#!/usr/bin/env python3
"""Times this program's loader and those of its peers on the same shards and recipe; prints a table in Markdown.

`make bench-peers` builds what this needs and runs it. Peers are installed once, in pinned versions, into the cache folder
(AMDIM_STREAM_CACHE). A peer that cannot be installed or fails keeps a row with the reason.
"""

import argparse
import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import torch_cpu  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release"
XDG_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = Path(os.environ.get("AMDIM_STREAM_CACHE") or XDG_CACHE / "amdim-stream").resolve() / "peers"
DATA = CACHE / "data"
WORKERS = (1, 2)
SECONDS = {"install": 1200, "run": 240, "compile and run": 900}

TORCH = ["typing-extensions==4.16.0", "sympy==1.14.0", "mpmath==1.3.0", "networkx==3.6.1", "jinja2==3.1.6",
         "markupsafe==3.0.4", "fsspec==2026.9.0", "filelock==4.2.12"]
TORCH_ITSELF = ["torch==2.11.0", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"]
WEBDATASET = ["torchvision==0.26.0", "webdataset==1.0.2", "braceexpand==0.1.7", "pyyaml==6.0.4", "numpy==2.4.6"]
ALBUMENTATIONS = ["albumentations==2.0.8", "albucore==0.0.24", "opencv-python-headless==4.11.0.86", "scipy==1.17.1",
                  "pydantic==2.14.4", "pydantic-core==2.50.5", "annotated-types==0.8.0", "typing-inspection==0.4.5",
                  "stringzilla==5.3.2", "simsimd==6.5.16"]
DALI = ["nvidia-dali-cuda130==2.4.0", "nvidia-nvimgcodec-cu13==0.9.0.20", "numpy==2.4.6", "astunparse==1.6.3",
        "gast==0.7.0", "libcst==1.9.0", "makefun==1.16.0", "nvtx==0.2.17", "optree==0.20.0", "packaging==26.3",
        "pyyaml==6.0.4", "six==1.17.0", "typing-extensions==4.16.0"]
FFCV = ["ffcv==1.0.2", "numba==0.61.2", "llvmlite==0.44.0", "numpy==2.2.6", "opencv-python-headless==4.11.0.86",
        "pillow==12.0.0", "pytorch-pfn-extras==0.9.0", "fastargs==1.2.0", "terminaltables==3.1.10", "assertpy==1.1",
        "psutil==7.2.2", "tqdm==4.70.1", "packaging==26.3"]


class Failed(Exception):
    """The reason why a peer has no figures, in one line."""


@dataclasses.dataclass
class Venv:
    """A virtual environment, in a folder named after its list of packages: other versions get another folder."""

    name: str
    packages: list
    torch: bool = False
    # Environment variables of pip, and a function that installs or checks system packages first.
    environment: dict = dataclasses.field(default_factory=dict)
    before: callable = lambda: None

    @property
    def folder(self):
        asked = json.dumps([self.packages, self.torch, self.environment, sys.version_info[:2]])
        return CACHE / f"{self.name}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"

    @property
    def python(self):
        return self.folder / "bin/python"

    def install(self):
        """Makes the folder unless it is complete."""
        if (self.folder / "complete").exists():
            return
        say(f"installing {self.name}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.before()
        call([sys.executable, "-m", "venv", self.folder], "install")
        if self.torch and LIBTORCH:
            (site,) = self.folder.glob("lib/python*/site-packages")
            (site / "torch.pth").write_text(f"{LIBTORCH}\n")
        self.pip("setuptools==81.0.0", "wheel==0.46.3")
        itself = TORCH_ITSELF if self.torch and not LIBTORCH else []
        self.pip(*itself, *(TORCH if self.torch else []), *self.packages)
        (self.folder / "complete").touch()

    def pip(self, *packages):
        # Without dependencies: the lists are complete except for CUDA libraries, which nothing here uses.
        command = [self.python, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
        call([*command, *packages], "install", self.environment)

    def run_environment(self):
        if not self.torch:
            return {}
        (packages,) = [LIBTORCH] if LIBTORCH else self.folder.glob("lib/python*/site-packages")
        return {"LD_PRELOAD": ":".join(map(str, torch_cpu.stand_ins(packages, self.folder / "stand-ins")))}


@dataclasses.dataclass
class Peer:
    """A row of the table."""

    name: str
    command: list
    differs: str
    venv: Venv = None
    # A command that runs once before all rounds.
    prepare: list = None
    workers: tuple = WORKERS
    # Whether it gets one turn with the pairs of all rounds, because it compiles for minutes in every process.
    one_turn: bool = False

    failure: str = ""
    environment: dict = dataclasses.field(default_factory=dict)
    versions: dict = dataclasses.field(default_factory=dict)
    records: dict = dataclasses.field(default_factory=dict)

    def attempt(self, work, *arguments):
        """Calls `work` unless the peer has failed before."""
        if self.failure:
            return
        try:
            work(*arguments)
        except (Failed, OSError, ValueError, subprocess.CalledProcessError) as failure:
            self.failure = " ".join(str(failure).split()) or type(failure).__name__
            say(f"{self.name}: {failure}")

    def set_up(self):
        if self.venv:
            self.venv.install()
            self.environment = self.venv.run_environment()
        if self.prepare:
            call(self.started(self.prepare), "install", self.environment)

    def started(self, command):
        """Returns the words of a command; the environment's Python runs a script."""
        return [self.venv.python, HERE / command[0], *command[1:]] if self.venv else command

    def measure(self, workers, options):
        pairs = options.pairs * (options.rounds if self.one_turn else 1)
        words = ["--workers", workers, "--pairs", pairs, "--warmup", options.warmup]
        kind = "compile and run" if self.one_turn else "run"
        record = json.loads(call(self.started(self.command) + words, kind, self.environment).splitlines()[-1])
        self.versions = record.pop("versions", {})
        self.records.setdefault(workers, []).append(record)
        cpu_ms, rate = 1e3 * record["cpu_s"] / record["pairs"], record["pairs"] / record["wall_s"]
        say(f"{self.name}, workers {workers}: {cpu_ms:.2f} ms CPU per pair, {rate:.0f} pairs/s")

    def cpu_ms(self, workers):
        return statistics.median(1e3 * record["cpu_s"] / record["pairs"] for record in self.records[workers])

    def rate(self, workers):
        return statistics.median(record["pairs"] / record["wall_s"] for record in self.records[workers])


def call(command, kind, environment=None):
    """Returns the standard output of a command, or raises `Failed` with the reason."""
    words, timeout = [str(word) for word in command], SECONDS[kind]
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
    # In its own session, so that all of its processes can be killed at the end.
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"`{Path(words[0]).name}` was still running after {timeout} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise Failed(reason(errors, kind) or f"exit status {process.returncode}")
    return output


def reason(errors, kind):
    """Returns the most informative line: the first error of an installer, or the last one of a program."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    telling = [line for line in lines if "rror: " in line and "subprocess-exited" not in line] or lines[-1:]
    return telling[0 if kind == "install" else -1][:200] if telling else ""


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


def libtorch():
    """Returns the folder of packages with the libtorch of `make setup`, if it is a wheel for this Python."""
    packages = (ROOT / ".libtorch").resolve().parent
    return packages if torch_cpu.has_torch(packages) else None


def ffcv_libraries():
    """Installs or checks the libraries that FFCV is compiled with: turbojpeg and two modules of OpenCV."""
    packages = ["g++", "pkg-config", "libturbojpeg0-dev", "libopencv-core-dev", "libopencv-imgproc-dev"]
    found = [shutil.which("g++"), shutil.which("pkg-config"),
             subprocess.run(["pkg-config", "--exists", "libturbojpeg"]).returncode == 0,
             Path("/usr/include/opencv4/opencv2/imgproc.hpp").exists()] if shutil.which("pkg-config") else [False]
    if not all(found):
        hint = f"`apt-get install -y --no-install-recommends {' '.join(packages)}`"
        if not shutil.which("apt-get") or os.geteuid() != 0:
            raise Failed(f"needs as root: {hint}")
        call(["apt-get", "update", "-qq"], "install")
        call(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], "install",
             {"DEBIAN_FRONTEND": "noninteractive"})
    # Debian's own opencv4.pc and opencv.hpp need all modules and their dependencies, 500 MB.
    include = CACHE / "opencv/include"
    (include / "opencv2").mkdir(parents=True, exist_ok=True)
    (include / "opencv2/opencv.hpp").write_text("#include <opencv2/core.hpp>\n#include <opencv2/imgproc.hpp>\n")
    (CACHE / "opencv/opencv4.pc").write_text(
        "Name: opencv4\nDescription: core and imgproc\nVersion: 4\nLibs: -lopencv_imgproc -lopencv_core\n"
        f"Cflags: -I{include} -I/usr/include/opencv4\n")


def peers(shards):
    """Returns the rows of the table in order."""
    ours = BUILT / "examples/peers-ours"
    beton = DATA / "photos.beton"
    torch = Venv("torch", ["pillow==12.0.0", *WEBDATASET, *ALBUMENTATIONS], torch=True)
    # Compiled for AVX2 if the processor has it, as its authors recommend.
    simd = Venv("simd", ["pillow-simd==12.1.1.post0", *WEBDATASET], torch=True,
                environment={"CC": "cc -mavx2"} if "avx2" in cpu()[1] else {})
    dali = Venv("dali", DALI)
    ffcv = Venv("ffcv", FFCV, torch=True, environment={"PKG_CONFIG_PATH": str(CACHE / "opencv")}, before=ffcv_libraries)
    return [
        Peer("**bound**: libjpeg-turbo's bare decode", [ours, *shards, "--bound"], "no views, one thread", workers=(1,)),
        Peer("**ours**, exact", [ours, *shards], "as Pillow, to the bit"),
        Peer("**ours**, fast", [ours, *shards, "--decode", "fast"], "chroma resized as the file holds it"),
        Peer("albumentations + OpenCV, webdataset", ["albumentations_cv2.py", *shards],
             "bicubic not antialiased", torch),
        Peer("FFCV, JPEG", ["ffcv_jpeg.py", beton],
             "area instead of bicubic; no hue; each colour operation with p = 0.8, in fixed order; gray and flip: "
             "operations of ours in numba; one file instead of shards; all pairs in one turn", ffcv,
             ["ffcv_jpeg.py", "--convert", beton, *shards], one_turn=True),
        Peer("DALI, CPU", ["dali.py", *shards],
             "colour operations fused, in fixed order; hue by a matrix; gray as saturation 0; contrast about 128", dali),
        Peer("pillow-simd, webdataset", ["pillow.py", *shards], "", simd),
        Peer("torchvision v2, webdataset", ["torchvision_v2.py", *shards], "", torch),
        Peer("Pillow, webdataset", ["pillow.py", *shards], "as the AMDIM reference", torch),
    ]


def draw(images):
    """Writes shards of synthetic photos, with the same bytes every time, and returns their paths."""
    say(f"drawing {images} images")
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    call([BUILT / "amdim-stream", "synth", "--out", DATA, "--size", "500x375", "--count", images, "--shards", 4,
          "--seed", 1, "--prefix", "photos"], "install")
    return sorted(DATA.glob("photos-*.tar"))


def cpu():
    """Returns the processor's name and its vector extensions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    flags = [flag for flag in ("avx2", "avx512f", "avx512bw", "avx512vl") if flag in facts.get("flags", "").split()]
    return facts.get("model name", platform.machine()), flags


def table(rows, shards, options, load):
    name, flags = cpu()
    kilobytes = sum(shard.stat().st_size for shard in shards) / options.images / 1e3
    lines = [
        "# Loaders compared",
        "",
        f"{datetime.date.today()}; {name}, {os.cpu_count()} CPUs ({', '.join(flags) or 'neither AVX2 nor AVX-512'}); "
        f"Linux {platform.release()}, Python {platform.python_version()}. Load before the first round: {load:.2f}.",
        "",
        f"{options.images} synthetic JPEGs of 500×375 pixels and {kilobytes:.0f} KB in 4 tar shards. Recipe `in128`: one "
        "flip for both views (p = 0.5); for each view a random resized crop (scale 0.3–1, ratio 0.7–1.4) to 128 pixels, "
        "bicubic and antialiased, colour jitter (p = 0.8; 0.4, 0.4, 0.4, 0.1) and gray (p = 0.25). Bytes come out, not "
        "normalized, in batches of 64. Samples come in each loader's default order.",
        "",
        f"Rounds: {options.rounds}; figures are their medians. In each, every loader had its turn, alone, in a process of "
        f"its own: {options.pairs} pairs after {options.warmup} that are not counted, nor are start-up and compilation. CPU time is "
        "that of all threads and processes of the loader; a loader's main thread or process comes on top of its workers.",
        "",
        "| loader | versions | CPU ms/pair: 1 worker | 2 workers | pairs/s: 1 worker | 2 workers "
        "| rate of the bound, by CPU | differs |",
        "|---|---|---|---|---|---|---|---|",
        *(row(peer, rows[0]) for peer in rows),
    ]
    return "\n".join(lines) + "\n"


def row(peer, bound):
    if peer.failure:
        return f"| {peer.name} | | – | – | – | – | – | **no figures**: {peer.failure.replace('|', '/')} |"
    versions = ", ".join(f"{name} {version}" for name, version in peer.versions.items())
    cells = [f"{peer.cpu_ms(n):.2f}" if n in peer.records else "–" for n in WORKERS]
    cells += [f"{peer.rate(n):.0f}" if n in peer.records else "–" for n in WORKERS]
    cells += ["–" if bound.failure else f"{bound.cpu_ms(1) / peer.cpu_ms(1):.2f}"]
    return f"| {peer.name} | {versions} | {' | '.join(cells)} | {peer.differs} |"


def arguments():
    parser = argparse.ArgumentParser(description="Times our loader and its peers on the same shards and recipe.")
    parser.add_argument("--images", type=int, default=2000, help="images in the shards")
    parser.add_argument("--pairs", type=int, help="measured pairs in each round (default: as many as images)")
    parser.add_argument("--warmup", type=int, default=512, help="pairs before the measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", metavar="TEXT", default="", help="measure only the bound and the loaders whose name contains TEXT")
    parser.add_argument("--out", type=Path, default=ROOT / "benches/results/peers.md")
    options = parser.parse_args()
    options.pairs = 64 * -(-(options.pairs or options.images) // 64)  # whole batches
    return options


def main():
    options = arguments()
    shards = draw(options.images)
    bound, *others = peers(shards)
    rows = [bound, *(peer for peer in others if options.only.lower() in peer.name.lower())]
    for peer in rows:
        peer.attempt(peer.set_up)
    load = os.getloadavg()[0]
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        for workers in WORKERS:
            for peer in rows:
                if workers in peer.workers and not (peer.one_turn and number):
                    peer.attempt(peer.measure, workers, options)
    text = table(rows, shards, options, load)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text)
    print(text, end="")


LIBTORCH = libtorch()

if __name__ == "__main__":
    main()
