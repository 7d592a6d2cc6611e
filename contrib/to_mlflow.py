"""Copies the records and settings of a run to MLflow: to_mlflow.py RUN

The server and the experiment are those of MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME. Another call makes another run there.
"""

import json
import sys
import tomllib
from pathlib import Path

import mlflow


def flat(table, prefix=""):
    for key, value in table.items():
        yield from flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]


run = Path(sys.argv[1])
with mlflow.start_run(run_name=run.resolve().name):
    settings = list(flat(tomllib.loads((run / "config.toml").read_text())))
    for start in range(0, len(settings), 100):
        mlflow.log_params(dict(settings[start : start + 100]))
    for line in (run / "metrics.jsonl").read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            break  # the run is writing it
        record = json.loads(line)
        kind, step = record.pop("kind"), record.pop("step")
        numbers = {f"{kind}/{name}": value for name, value in record.items() if isinstance(value, (int, float)) and name != "format"}
        mlflow.log_metrics(numbers, step=step)
