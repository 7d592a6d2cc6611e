#!/usr/bin/env python3
"""Measures what it costs a run to be watched: its images/s and CPU time beside those of the same run unwatched.

`make bench-watching` builds the program and runs this. Pairs of runs take turns, each pair with the other one first. Readers are
threads of this script and share the cores with the run, as those of a user's machine would. Each pair gives a ratio; the table has
their median, minimum and maximum. On a busy machine the ratios mean little.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[1] / "target" / "release" / "amdim-stream"
SMALL = ["--preset", "c10", "--ndf", "16", "--n-rkhs", "128", "--n-depth", "1", "--precision", "f32", "--workers", "1", "--threads", "1"]
CASES = {
    "`--listen`, nobody reads": ["--listen", "0"],
    "`--listen`, scraped every second": ["--listen", "0"],
    "`--listen`, 30 readers of events that never read": ["--listen", "0"],
    "`--tensorboard`": ["--tensorboard"],
    "`--trace` of all steps": ["--trace", "TRACE"],
}


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=5)


def ask(address, path):
    stream = connect(address)
    stream.sendall(f"GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n".encode())
    return stream


def watch(case, out, ended):
    """Reads what the run serves until it has ended."""
    while not ended.is_set() and not (out / "listen").exists():
        time.sleep(0.01)
    streams = []
    try:
        address = (out / "listen").read_text().strip().removeprefix("http://").rstrip("/")
        while not ended.wait(1):
            if "scraped" in case:
                with ask(address, "/metrics") as stream:
                    while stream.recv(65536):
                        pass
            elif "never read" in case and not streams:
                streams = [ask(address, "/live") for _ in range(30)]
    except OSError:
        pass  # the run ends


def made(case, flags, shards, steps):
    """Returns images/s, without the first tenth of the records, and the CPU seconds of a run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        flags = [str(Path(folder) / "trace.json") if flag == "TRACE" else flag for flag in flags]
        if "--trace" in flags:
            flags += ["--trace-steps", str(steps)]
        command = [PROGRAM, "--shards", shards, "--device", "cpu", *SMALL, "--out", out, "--steps", str(steps), "--quiet", *flags]
        ended = threading.Event()
        watcher = threading.Thread(target=watch, args=(case, out, ended))
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        watcher.start()
        _, status, usage = os.wait4(run.pid, 0)
        ended.set()
        watcher.join()
        assert status == 0, command
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    records = [line for line in lines if line["kind"] == "train"]
    records = records[len(records) // 10 :]
    return len(records) / sum(1 / record["images_per_second"] for record in records), usage.ru_utime + usage.ru_stime


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--steps", type=int, default=200)
    options = options.parse_args()
    print("| | images/s, watched / unwatched | CPU time, watched / unwatched |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        synth = [PROGRAM, "synth", "--out", folder, "--side", "32", "--count", "4000"]
        subprocess.run(synth, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shards = f"{folder}/train-*.tar"
        made("", [], shards, 10)
        for case, flags in CASES.items():
            rates, costs = [], []
            for number in range(options.rounds):
                pair = [("", []), (case, flags)]
                both = {name: made(name, more, shards, options.steps) for name, more in (pair if number % 2 else pair[::-1])}
                rates.append(both[case][0] / both[""][0])
                costs.append(both[case][1] / both[""][1])
            shown = [f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})" for ratios in (rates, costs)]
            print(f"| {case} | {shown[0]} | {shown[1]} |", flush=True)


main()
