#!/usr/bin/env python3
"""Times this program's loader and those of its peers on the same shards and recipes; prints a table of each recipe in Markdown.

`make bench-peers` builds what this needs and runs it. Peers are installed once, in pinned versions, into the cache folder
(AMDIM_STREAM_CACHE). A peer that cannot be installed or fails keeps a row with the reason.
"""

import argparse
import os
import shutil
from pathlib import Path

from commands import call, say
from environments import ROOT
from loaders import BUILT, DATA, WORKERS, loaders
from recipe import NAMES, Recipe
from table import document


def arguments():
    parser = argparse.ArgumentParser(description="Times our loader and its peers on the same shards and recipes.")
    parser.add_argument("--recipe", choices=NAMES, action="append", help="measure only this recipe (default: each)")
    parser.add_argument("--images", type=int, default=2000, help="images in the shards")
    parser.add_argument("--pairs", type=int, help="measured pairs in each round (default: as many as images)")
    parser.add_argument("--warmup", type=int, default=512, help="pairs before the measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", metavar="TEXT", default="", help="measure only the bound and the loaders whose name contains TEXT")
    parser.add_argument("--out", type=Path, default=ROOT / "benches/results/peers.md")
    options = parser.parse_args()
    options.pairs = 64 * -(-(options.pairs or options.images) // 64)  # whole batches
    return options


def draw(images):
    """Writes shards of synthetic photos, with the same bytes every time, and returns their paths."""
    say(f"drawing {images} images")
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)
    call([BUILT / "amdim-stream", "synth", "--out", DATA, "--size", "500x375", "--count", images, "--shards", 4,
          "--seed", 1, "--prefix", "photos"], "install")
    return sorted(DATA.glob("photos-*.tar"))


def fetch(name):
    """Returns our loader's recipe of this name, which peers read from its file."""
    file = DATA / f"{name}.json"
    file.write_text(call([BUILT / "examples/peers-ours", "--recipe", name, "--print"], "run"))
    return Recipe(file)


def rows(recipe, shards, options):
    """Returns the loaders that are measured with a recipe, ready to run."""
    bound, *others = loaders(shards, recipe)
    chosen = [bound, *(loader for loader in others if options.only.lower() in loader.name.lower())]
    for loader in chosen:
        loader.attempt(loader.set_up)
    return chosen


def measure(loaders, number, options):
    """Gives each loader its turns in a round."""
    for workers in WORKERS:
        for loader in loaders:
            if workers in loader.workers and not (loader.one_turn and number):
                loader.attempt(loader.measure, workers, options)


def main():
    options = arguments()
    shards = draw(options.images)
    recipes = map(fetch, options.recipe or NAMES)
    tables = [(recipe, rows(recipe, shards, options)) for recipe in recipes]
    load = os.getloadavg()[0]
    for number in range(options.rounds):
        for recipe, chosen in tables:
            say(f"round {number + 1} of {options.rounds}, recipe {recipe.name}")
            measure(chosen, number, options)
    text = document(tables, shards, options, load)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
