#!/bin/sh
# What `make demo` does once the program is built: a small dataset, a short training, an evaluation. An interrupted
# demo goes on where it stopped; `rm -r runs/demo` makes the next one start anew.
# Usage: demo.sh [METHOD]; the settings of a method other than AMDIM are in tools/methods/METHOD.toml.
set -eu
cd "$(dirname "$0")/.."

method=${1:-amdim}
case $method in
amdim) settings=tools/demo.toml ;;
*) settings=tools/methods/$method.toml ;;
esac
if [ ! -f "$settings" ]; then
    echo "there is no method $method: set METHOD to amdim or one of" tools/methods/*.toml | sed 's/tools.methods.//g; s/\.toml//g' >&2
    exit 2
fi

program=target/release/amdim-stream
demo=runs/demo
data=$demo/data
case $method in
amdim) run=$demo/run features=$demo/features ;;
*) run=$demo/$method features=$demo/$method/features ;;
esac

if [ ! -d "$data" ]; then
    rm -rf "$data.partial"
    "$program" synth --out "$data.partial" --side 32 --count 4000 --shards 4 --seed 1 --prefix train
    "$program" synth --out "$data.partial" --side 32 --count 1000 --shards 2 --seed 1 --prefix val
    mv "$data.partial" "$data"
fi

"$program" --config "$settings" --shards "$data/train-<000..003>.tar" --val-shards "$data/val-<000..001>.tar" \
    --out "$run" >/dev/null

printf '\nlinear probe on frozen features, %s validation images, ten classes:\n' 1000
"$program" eval linear --checkpoint "$run" --baseline --cache-features "$features"

cat <<TXT

run folder:  $run  (config.toml, metrics.jsonl, checkpoints/)
your shards: $program --preset in128 --shards '/data/train-<000..999>.tar' --out runs/mine
images in class folders first become shards: $program pack IMAGES --out /data
TXT
