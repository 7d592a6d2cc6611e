"""Copies the records and settings of a run to Weights & Biases: to_wandb.py RUN

The project is that of WANDB_PROJECT. With WANDB_MODE=offline, nothing is sent before `wandb sync`. A second call for the same folder
makes another run there.
"""

import json
import sys
import tomllib
from pathlib import Path

import wandb

folder = Path(sys.argv[1])
settings = tomllib.loads((folder / "config.toml").read_text())
with wandb.init(name=folder.resolve().name, config=settings) as run:
    for line in (folder / "metrics.jsonl").read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            break  # the run is writing it
        record = json.loads(line)
        kind, step = record.pop("kind"), record.pop("step")
        numbers = {f"{kind}/{name}": value for name, value in record.items() if isinstance(value, (int, float)) and name != "format"}
        run.log(numbers, step=step)
