"""The results as Markdown."""

import datetime
import os
import platform

from loaders import WORKERS
from machine import cpu


def document(tables, shards, options, load):
    """Returns the whole text. `tables` lists recipes, each with its rows."""
    name, flags = cpu()
    kilobytes = sum(shard.stat().st_size for shard in shards) / options.images / 1e3
    lines = [
        "# Loaders compared",
        "",
        f"{datetime.date.today()}; {name}, {os.cpu_count()} CPUs ({', '.join(flags) or 'neither AVX2 nor AVX-512'}); "
        f"Linux {platform.release()}, Python {platform.python_version()}. Load before the first round: {load:.2f}.",
        "",
        f"{options.images} synthetic JPEGs of 500×375 pixels and {kilobytes:.0f} KB in 4 tar shards. Bytes come out, not "
        "normalized, in batches of 64 pairs of views. Samples come in each loader's default order.",
        "",
        f"Rounds: {options.rounds}; figures are their medians. In each, every loader had its turn, alone, in a process of "
        f"its own: {options.pairs} pairs after {options.warmup} that are not counted, nor are start-up and compilation. CPU time is "
        "that of all threads and processes of the loader; a loader's main thread or process comes on top of its workers.",
    ]
    for recipe, rows in tables:
        lines += ["", f"## Recipe `{recipe.name}`", "", str(recipe), "", *table(rows)]
    return "\n".join(lines) + "\n"


def table(rows):
    """Returns the lines of a table, whose first row is the bound."""
    ours = next((loader for loader in rows if loader.name == "**ours**, exact" and not loader.failure), None)
    return [
        "| loader | versions | CPU ms/pair: 1 worker | 2 workers | pairs/s: 1 worker | 2 workers "
        "| rate of the bound, by CPU | CPU relative to ours, exact | differs |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(loader, rows[0], ours) for loader in rows),
    ]


def row(loader, bound, ours):
    if loader.failure:
        return f"| {loader.name} | | – | – | – | – | – | – | **no figures**: {loader.failure.replace('|', '/')} |"
    versions = ", ".join(f"{name} {version}" for name, version in loader.versions.items())
    cells = [f"{loader.cpu_ms(n):.2f}" if n in loader.records else "–" for n in WORKERS]
    cells += [f"{loader.rate(n):.0f}" if n in loader.records else "–" for n in WORKERS]
    cells += ["–" if bound.failure else f"{bound.cpu_ms(1) / loader.cpu_ms(1):.2f}"]
    cells += [f"{loader.cpu_ms(1) / ours.cpu_ms(1):.2f}" if ours else "–"]
    return f"| {loader.name} | {versions} | {' | '.join(cells)} | {loader.differs} |"
