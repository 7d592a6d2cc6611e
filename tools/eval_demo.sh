#!/bin/sh
# What `make eval-demo` does after `make demo`: every evaluation of the demo's encoder, as it was and as it became, in one table.
set -eu
cd "$(dirname "$0")/.."

program=target/release/amdim-stream
run=runs/demo/run
features=runs/demo/features

evaluate() { # NAME OPTIONS
    "$program" eval "$@" --checkpoint "$run" --baseline --val-shards "runs/demo/data/val-<000..001>.tar" \
        --shards "runs/demo/data/train-<000..003>.tar"
}

{
    evaluate linear --cache-features "$features"
    evaluate mlp --cache-features "$features"
    evaluate knn --cache-features "$features"
    evaluate finetune --label-fraction 0.01
    evaluate finetune --label-fraction 0.1
} | python3 -c '
import json, sys
rows = {}
for line in sys.stdin:
    result = json.loads(line)
    name = " ".join(filter(None, [result["probe"], result["variant"]]))
    rows.setdefault(name, {})[result["encoder"]] = result["report"]
if len(rows) != 6:
    sys.exit("an evaluation has failed: see above")
print("\n%-28s %18s %18s" % ("top-1 (top-5) of validation", "initial encoder", "trained encoder"))
for name, reports in rows.items():
    assert set(reports) == {"initial", "trained"}, name
    cells = ["%.1f %% (%.1f %%)" % (100 * reports[which]["top1"], 100 * reports[which]["top5"]) for which in ("initial", "trained")]
    print("%-28s %18s %18s" % (name, *cells))
'
