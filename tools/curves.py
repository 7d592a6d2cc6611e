#!/usr/bin/env python3
"""What `make curves` does once the program is built: trains each method for some hundreds of updates on synthetic images, and
judges its encoder and an untrained one. It writes the table benches/results/curves.md."""

import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("AMDIM_STREAM", ROOT / "target/release/amdim-stream"))
FOLDER = ROOT / "runs/curves"
DATA = FOLDER / "data"
TABLE = ROOT / "benches/results/curves.md"
TRAIN, VALIDATION = 4000, 1000
# How much better than an untrained encoder a trained one must be, in percent of the validation images. The standard error of
# a share of 1000 images is about 1.4 %.
MARGIN = 3
# What an implementation of the paper in PyTorch reached in as many updates on such images.
LEAST = {("simclr", "linear"): 37.4, ("simclr", "knn"): 28.3}


def call(*arguments):
    """Runs the program and returns the lines of JSON on its stdout."""
    printed = subprocess.run([PROGRAM, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def data():
    """Makes the synthetic images, once."""
    if DATA.exists():
        return
    partial = FOLDER / "data.partial"
    for prefix, count in (("train", TRAIN), ("val", VALIDATION)):
        call("synth", "--out", partial, "--side", 32, "--count", count, "--shards", 1, "--seed", 1, "--prefix", prefix)
    partial.rename(DATA)


def judged(name):
    """Trains a method and returns its row: the numbers of the untrained and of the trained encoder."""
    run = FOLDER / name
    shards = ("--shards", DATA / "train-*.tar", "--val-shards", DATA / "val-*.tar")
    (ended,) = call("--config", ROOT / f"tools/methods/{name}.toml", *shards, "--out", run)
    judge = ("--checkpoint", run, "--baseline", "--cache-features", run / "features")
    results = call("eval", "linear", "--solver", "lbfgs", *judge) + call("eval", "knn", "--k", 10, *judge)
    row = {"steps": ended["steps"], "loss": ended["train"]["loss"], "chance": ended["train"]["chance"]}
    for result in results:
        row[result["encoder"], result["probe"]] = 100 * result["report"]["top1"]
        row[result["encoder"], "rankme"] = result["health"]["rankme"]
    return row


def cpu():
    """Returns the name of the CPU."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def cells(row, what):
    before, after = row["initial", what], row["trained", what]
    return f"{before:.1f} → **{after:.1f}**"


def table(rows):
    version = subprocess.run([PROGRAM, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]
    lines = [
        "# Do the methods learn?",
        "",
        f"`make curves` on {datetime.date.today()}, {version}, {cpu()}.",
        "",
        f"{TRAIN} synthetic training images of 32 pixels in ten classes, {VALIDATION} for validation, one seed. The settings of each run",
        "are in `tools/methods`. Each cell has the number of the untrained encoder, whose batch norms were settled on training images,",
        "and that of the trained one: accuracy in percent of logistic regression on frozen features and of the vote of the 10 nearest",
        "training images, and the effective rank of the features (RankMe).",
        "",
        "| method | updates | loss (chance) | linear | 10-NN | RankMe |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        loss = f"{row['loss']:.2f} ({row['chance']:.2f})"
        results = " | ".join(cells(row, what) for what in ("linear", "knn", "rankme"))
        lines.append(f"| {name} | {row['steps']} | {loss} | {results} |")
    return "\n".join(lines) + "\n"


def main():
    known = sorted(path.stem for path in (ROOT / "tools/methods").glob("*.toml"))
    names = sys.argv[1:] or known
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no settings for {', '.join(unknown)}: name some of {', '.join(known)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    data()
    rows = {name: judged(name) for name in names}
    print(table(rows))
    if names == known:
        TABLE.write_text(table(rows))
        print(f"written: {TABLE.relative_to(ROOT)}")
    worse = [
        f"{name}: {what}"
        for name, row in rows.items()
        for what in ("linear", "knn")
        if row["trained", what] < max(row["initial", what] + MARGIN, LEAST.get((name, what), 0))
    ]
    if worse:
        sys.exit(f"worse than expected, or less than {MARGIN} % above the untrained encoder: {', '.join(worse)}")


if __name__ == "__main__":
    main()
