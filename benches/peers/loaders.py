"""The loaders that are compared."""

import dataclasses
import json
import os
import statistics
import subprocess
from pathlib import Path

from commands import Failed, call, say
from environments import ALBUMENTATIONS, CACHE, DALI, FFCV, ROOT, WEBDATASET, Venv, ffcv_libraries
from machine import cpu

HERE = Path(__file__).resolve().parent
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release"
DATA = CACHE / "data"
WORKERS = (1, 2)


@dataclasses.dataclass
class Loader:
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
        """Calls `work` unless the loader has failed before."""
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


def loaders(shards, recipe):
    """Returns the rows of a recipe's table in order."""
    ours = [BUILT / "examples/peers-ours", "--recipe", recipe.name, *shards]
    beton = DATA / "photos.beton"
    torch = Venv("torch", ["pillow==12.0.0", *WEBDATASET, *ALBUMENTATIONS], torch=True)
    # Compiled for AVX2 if the processor has it, as its authors recommend.
    simd = Venv("simd", ["pillow-simd==12.1.1.post0", *WEBDATASET], torch=True,
                environment={"CC": "cc -mavx2"} if "avx2" in cpu()[1] else {})
    dali = Venv("dali", DALI)
    ffcv = Venv("ffcv", FFCV, torch=True, environment={"PKG_CONFIG_PATH": str(CACHE / "opencv")}, before=ffcv_libraries)

    def peer(name, script, differs, blur, venv, *data, **more):
        differs = "; ".join(filter(None, [differs, blur if recipe.blur else ""]))
        return Loader(name, [script, "--recipe", recipe.file, *(data or shards)], differs, venv, **more)

    return [
        Loader("**bound**: libjpeg-turbo's bare decode", [*ours, "--bound"], "no views, one thread", workers=(1,)),
        Loader("**ours**, exact", ours, "as Pillow, to the bit"),
        Loader("**ours**, fast", [*ours, "--decode", "fast"], "chroma resized as the file holds it"),
        peer("albumentations + OpenCV, webdataset", "albumentations_cv2.py", "bicubic not antialiased",
             "blur: a true Gaussian of up to 15 taps", torch),
        peer("albumentations + OpenCV, antialiased", "albumentations_cv2.py",
             "as above, but area instead of bicubic where a crop shrinks", "", torch, "--area", *shards),
        peer("FFCV, JPEG", "ffcv_jpeg.py",
             "area instead of bicubic; no hue; each colour operation with p = 0.8, in fixed order; gray and flip: "
             "operations of ours in numba; one file instead of shards; all pairs in one turn",
             "blur: an operation of ours that calls OpenCV's, a true Gaussian of up to 13 taps, on one thread", ffcv, beton,
             prepare=["ffcv_jpeg.py", "--convert", beton, *shards], one_turn=True),
        peer("DALI, CPU", "dali.py",
             "colour operations fused, in fixed order; hue by a matrix; gray as saturation 0; contrast about 128",
             "blur: a true Gaussian of up to 13 taps", dali),
        peer("pillow-simd, webdataset", "pillow.py", "", "blur: Pillow's, as ours", simd),
        peer("torchvision v2, webdataset", "torchvision_v2.py", "", "blur: a true Gaussian of 23 × 23 taps, not separated", torch),
        peer("Pillow, webdataset", "pillow.py", "as the AMDIM reference", "blur: Pillow's, as ours", torch),
    ]
