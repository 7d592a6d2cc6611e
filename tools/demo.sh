#!/bin/sh
# What `make demo` does once the program is built: a small dataset, a short training, an evaluation. An interrupted
# demo goes on where it stopped; `rm -r runs/demo` makes the next one start anew.
set -eu
cd "$(dirname "$0")/.."

program=target/release/amdim-stream
demo=runs/demo
data=$demo/data

if [ ! -d "$data" ]; then
    rm -rf "$data.partial"
    "$program" synth --out "$data.partial" --side 32 --count 4000 --shards 4 --seed 1 --prefix train
    "$program" synth --out "$data.partial" --side 32 --count 1000 --shards 2 --seed 1 --prefix val
    mv "$data.partial" "$data"
fi

"$program" --config tools/demo.toml --shards "$data/train-<000..003>.tar" --val-shards "$data/val-<000..001>.tar" \
    --out "$demo/run" >/dev/null

printf '\nlinear probe on frozen features, %s validation images, ten classes:\n' 1000
"$program" eval linear --checkpoint "$demo/run" --baseline --cache-features "$demo/features"

cat <<TXT

run folder:  $demo/run  (config.toml, metrics.jsonl, checkpoints/)
your shards: $program --preset in128 --shards '/data/train-<000..999>.tar' --out runs/mine
images in class folders first become shards: $program pack IMAGES --out /data
TXT
