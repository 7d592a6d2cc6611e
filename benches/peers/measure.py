"""Shared code of the Python peers: command line, measurement, CPU time of a process tree."""

import argparse
import contextlib
import json
import os
import signal
import time
from importlib.metadata import version

from recipe import Recipe

BATCH = 64


def arguments(*flags):
    """Returns the options of a peer, which may have flags of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="+", help="shards, or the file converted from them")
    parser.add_argument("--recipe", type=Recipe, required=True, help="file of the recipe, in JSON")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=2048, help="number of measured image pairs")
    parser.add_argument("--warmup", type=int, default=512, help="number of image pairs before the measurement")
    for flag in flags:
        parser.add_argument(flag, action="store_true")
    return parser.parse_args()


def measure(batches, options, *packages):
    """Times an endless iterator over batches of 64 pairs, and prints one JSON object for the driver.

    The queues between workers and main process are equally full at both ends of the measurement. So it covers exactly the work
    for its batches, without start-up and compilation.
    """
    batches = iter(batches)
    for _ in range(-(-options.warmup // BATCH)):
        next(batches)
    count = -(-options.pairs // BATCH)
    wall_s, used_s = time.perf_counter(), cpu_s()
    for _ in range(count):
        next(batches)
    record = {"pairs": count * BATCH, "wall_s": time.perf_counter() - wall_s, "cpu_s": cpu_s() - used_s}
    versions = {package: version(package) for package in packages}
    print(json.dumps(record | {"versions": versions}), flush=True)
    # Exit at once: workers are in the middle of a batch, and some libraries hang when they are torn down then. The handler of
    # torch's DataLoader would raise an error when a worker ends.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for child in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, 9)
    os._exit(0)


def cpu_s():
    """Returns the CPU seconds of all threads of this process and its descendants."""
    return time.process_time() + sum(map(process_cpu_s, descendants(os.getpid())))


def process_cpu_s(process):
    return time.clock_gettime((~process << 3) | 2)  # clock_getcpuclockid(3)


def descendants(process):
    found = []
    for task in os.listdir(f"/proc/{process}/task"):
        try:
            with open(f"/proc/{process}/task/{task}/children") as children:
                found += map(int, children.read().split())
        except (FileNotFoundError, ProcessLookupError):
            pass  # the thread has just ended
    return found + [later for child in found for later in descendants(child)]
