"""The machine that the driver runs on."""

import platform
from pathlib import Path


def cpu():
    """Returns the processor's name and its vector extensions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    flags = [flag for flag in ("avx2", "avx512f", "avx512bw", "avx512vl") if flag in facts.get("flags", "").split()]
    return facts.get("model name", platform.machine()), flags
