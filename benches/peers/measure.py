"""What the Python peers share: their command line, the window that is measured, the CPU time of a whole process tree."""

import argparse
import contextlib
import json
import os
import time
from importlib.metadata import version

BATCH = 64
SIDE = 128
SCALE, RATIO = (0.3, 1.0), (0.7, 1.4)
BRIGHTNESS = CONTRAST = SATURATION = 0.4
HUE = 0.1
FLIP, JITTER, GRAY = 0.5, 0.8, 0.25


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="+", help="shards, or the one file converted from them")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=2048, help="image pairs that are measured")
    parser.add_argument("--warmup", type=int, default=512, help="image pairs before them")
    return parser.parse_args()


def measure(batches, options, *packages):
    """Times an endless iterator over batches of 64 pairs, and prints what the driver reads.

    The queues between workers and main process stand alike at both ends of the window, so all that is done for its
    batches is in it and nothing else, start-up and compilation least of all.
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
    # Workers are in the middle of a batch; some of these libraries wait for ever when they are torn down then.
    for child in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, 9)
    os._exit(0)


def cpu_s():
    """CPU seconds of all threads of this process and of its descendants."""
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
            pass  # a thread that has just ended
    return found + [later for child in found for later in descendants(child)]
