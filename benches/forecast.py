#!/usr/bin/env python3
"""Compares the forecasts of `plan` with runs of several kinds, in images/s.

`make bench-plan` builds the program and runs this. Plans and runs take turns. Each round gives a ratio; the table has their median,
minimum and maximum. On a busy machine the ratios mean little.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[1] / "target" / "release" / "amdim-stream"

SETS = {
    "tiny": ["--side", "32", "--count", "4000"],
    "photos": ["--size", "500x375", "--count", "1500"],
}
SMALL = ["--ndf", "8", "--n-rkhs", "128", "--n-depth", "1"]
CASES = {
    "32 px, small encoder, batches of 64": ("tiny", ["--preset", "c10", "--ndf", "32", "--n-rkhs", "256", "--n-depth", "3"]),
    "32 px, tiny encoder": ("tiny", ["--preset", "c10", *SMALL]),
    "500×375 to 64 px, tiny encoder": ("photos", ["--preset", "stl10", *SMALL]),
    "500×375 to 64 px, tiny encoder, fast decoding": ("photos", ["--preset", "stl10", *SMALL, "--decode", "fast"]),
    "500×375 to 128 px, small encoder, batches of 32": ("photos", ["--ndf", "16", "--n-rkhs", "256", "--n-depth", "2"]),
    "500×375 to 128 px, one decoding thread": ("photos", [*SMALL, "--workers", "1"]),
}
RECORDS = 10


def planned(shards, flags):
    plan = [PROGRAM, "plan", "--shards", shards, "--device", "cpu", "--quiet", *flags]
    return json.loads(subprocess.run(plan, check=True, stdout=subprocess.PIPE).stdout)


def made(shards, flags, plan, seconds):
    """Returns images/s of a run without its first record, which includes the wait for the first batch."""
    steps = seconds * plan["forecast"]["images_per_second"] / plan["batch_size"]
    every = max(1, round(steps / RECORDS))
    with tempfile.TemporaryDirectory() as folder:
        more = ["--out", folder, "--steps", str(every * (RECORDS + 1)), "--log-every", str(every), "--quiet"]
        subprocess.run([PROGRAM, "--shards", shards, "--device", "cpu", *flags, *more], check=True)
        lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    records = [line for line in lines if line["kind"] == "train"][1:]
    bounds = [record["bound"] for record in records]
    return len(records) / sum(1 / record["images_per_second"] for record in records), statistics.mode(bounds)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=20, help="duration of each run")
    options = options.parse_args()
    print("| | foretold | made | foretold / made | bound foretold, found |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, flags in SETS.items():
            synth = [PROGRAM, "synth", "--out", folder, "--prefix", name, *flags]
            subprocess.run(synth, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for case, (name, flags) in CASES.items():
            shards = f"{folder}/{name}-*.tar"
            rounds = []
            for _ in range(options.rounds):
                plan = planned(shards, flags)
                rounds.append((plan["forecast"], *made(shards, flags, plan, options.seconds)))
            foretold = statistics.median(forecast["images_per_second"] for forecast, _, _ in rounds)
            rates = statistics.median(rate for _, rate, _ in rounds)
            ratios = sorted(forecast["images_per_second"] / rate for forecast, rate, _ in rounds)
            bounds = f"{rounds[-1][0]['bottleneck']}, {rounds[-1][2]}"
            spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(f"| {case} | {foretold:.0f} | {rates:.0f} | {spread} | {bounds} |", flush=True)


main()
