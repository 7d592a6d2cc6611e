"""Runs of the program in one and in two processes, which are started as by a launcher."""

import json
import math
import os
import signal
import socket
import statistics
import subprocess
import time

# Largest difference of a loss, relative to it, after the rounding of f32 has grown for some steps.
TOLERANCE = 1e-4
# Seconds in which a process must end after another one was killed.
MOST_SECONDS = 30


class Processes:
    """Processes that train together on this machine. Those that still run at the end of the block are killed."""

    def __init__(self, words, count, folder, environment):
        folder.mkdir(parents=True, exist_ok=True)
        self.logs = [folder / f"rank-{rank}.log" for rank in range(count)]
        self.running = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for rank, path in enumerate(self.logs):
            more = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count,
                    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            with path.open("w") as log:
                self.running.append(subprocess.Popen([str(word) for word in words], stdout=log, stderr=log,
                                                     env=environment | {key: str(value) for key, value in more.items()}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.kill()
            process.wait()

    def wait(self, seconds):
        """Returns the exit codes, those of processes that run longer as None."""
        end = time.monotonic() + seconds
        codes = []
        for process in self.running:
            try:
                codes.append(process.wait(max(end - time.monotonic(), 0)))
            except subprocess.TimeoutExpired:
                codes.append(None)
        return codes

    def said(self, rank):
        """Returns the last words of a process."""
        return " ".join(self.logs[rank].read_text(errors="replace").split("\n")[-4:]).strip()[-400:]


def records(run, kind="train"):
    """Returns the records of a run so far. The last line may not be whole yet."""
    path = run / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def trained(words, count, run, environment, seconds):
    """Trains in so many processes and returns the records."""
    with Processes([*words, "--out", run], count, run.with_suffix(".logs"), environment) as processes:
        codes = processes.wait(seconds)
        if codes != [0] * count:
            said = "; ".join(f"rank {rank}: {processes.said(rank)}" for rank, code in enumerate(codes) if code != 0)
            raise RuntimeError(f"{count} processes ended with {codes}: {said}")
    return records(run)


def same_losses(one, two):
    """Compares the losses of two runs step by step. Returns the largest difference, relative to the loss."""
    if not one or [record["step"] for record in one] != [record["step"] for record in two]:
        raise RuntimeError(f"{len(one)} records in one process, {len(two)} in two")
    names = [name for name in ("loss", "mlp_loss", "linear_loss") if one[0].get(name) is not None]
    all_off = [abs(a[name] - b[name]) / max(abs(a[name]), 1.0) for a, b in zip(one, two) for name in names]
    # A difference that is no number is the largest one.
    off = max(all_off, key=lambda off: math.inf if math.isnan(off) else off)
    if not off <= TOLERANCE:
        raise RuntimeError(f"losses differ by {off:.1e}, more than {TOLERANCE:.0e}")
    return {"steps": len(one), "largest_difference": off, "first_loss": one[0]["loss"], "last_loss": one[-1]["loss"]}


def rate(found):
    """Returns the median of the images/s of records, without those of the first ones."""
    return statistics.median(record["images_per_second"] for record in found[2:])


def waited(found):
    """Returns the median of the shares of time that records waited for data, without those of the first ones."""
    return statistics.median(record["data_wait"] for record in found[2:])


def after_a_kill(words, killed, run, environment, seconds):
    """Kills one of two processes after three steps. Returns how long the other one ran on, and what it said."""
    other = 1 - killed
    with Processes([*words, "--steps", 1_000_000, "--out", run], 2, run.with_suffix(".logs"), environment) as processes:
        end = time.monotonic() + seconds
        while len(records(run)) < 3:
            if time.monotonic() > end or None not in (process.poll() for process in processes.running):
                raise RuntimeError(f"made no three steps: {processes.said(0)}")
            time.sleep(0.1)
        os.kill(processes.running[killed].pid, signal.SIGKILL)
        start = time.monotonic()
        try:
            code = processes.running[other].wait(MOST_SECONDS)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"rank {other} still ran {MOST_SECONDS} s after rank {killed} was killed") from None
        if code != 1:
            raise RuntimeError(f"rank {other} ended with {code} instead of 1: {processes.said(other)}")
        return {"seconds": round(time.monotonic() - start, 2), "code": code, "said": processes.said(other)}
