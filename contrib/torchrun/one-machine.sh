#!/bin/sh
# One training on all GPUs of a machine, with a process for each. Call it in the folder that has nightly.toml and shards/:
#
#   GPUS=4 contrib/torchrun/one-machine.sh
#
# The same call resumes the run, also with another number of GPUs. A second run on the machine needs a port of its own (PORT).
# torchrun comes with Python's package torch; take version 2.11, which is that of the program's libtorch.
set -eu

# After a failure, torchrun starts all processes again, three times at most, and they go on from the last checkpoint. Every
# orderly end has the exit code 0; last.json has that of the run.
exec torchrun --no-python --nproc-per-node "${GPUS:-8}" --master-addr 127.0.0.1 --master-port "${PORT:-29500}" --max-restarts 3 \
    amdim-stream --config nightly.toml --out runs/machine --batch-size 256 --summary last.json "$@"
