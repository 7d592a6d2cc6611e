#!/bin/sh
# Fills a folder that can be copied to a machine with a GPU and Python's torch 2.11, and run there with `python3 run.py`.
#
#   benches/gpu/folder.sh [FOLDER]      default: target/gpu-bench
set -eu

cd "$(dirname "$0")/../.."
built=${CARGO_TARGET_DIR:-target}/release
folder=${1:-target/gpu-bench}
most_kib=61440

rm -rf "$folder"
mkdir -p "$folder/fixtures"
cp "$built/amdim-stream" "$built/amdim-stream-main" "$built/examples/gpu-bench" "$folder"
strip "$folder/amdim-stream" "$folder/amdim-stream-main" "$folder/gpu-bench"
cp benches/gpu/run.py benches/gpu/report.py benches/gpu/processes.py benches/gpu/torch_step.py "$folder"
cp -r tests/fixtures/case_* tests/fixtures/loss_only.* tests/fixtures/methods "$folder/fixtures"
size_kib=$(du -sk "$folder" | cut -f1)
[ "$size_kib" -le "$most_kib" ] || { echo "$folder has $size_kib KiB, more than $most_kib" >&2; exit 1; }
echo "$folder: $size_kib KiB"
