#!/bin/sh
# One training on all GPUs of two machines, with a process for each. Call it on both, with the number of the machine and the name
# of machine 0, in folders that have the same nightly.toml and the same shards/:
#
#   GPUS=8 contrib/torchrun/two-machines.sh 0 gpu-a        # on gpu-a, which writes the run folder
#   GPUS=8 contrib/torchrun/two-machines.sh 1 gpu-a        # on gpu-b
#
# The machines must reach each other at PORT of machine 0 and at the ports that the systems choose (32768 to 60999 on Linux).
# torchrun comes with Python's package torch; take version 2.11, which is that of the program's libtorch.
set -eu

case ${1-}:${2-} in
    [01]:?*) machine=$1 first=$2 ;;
    *) echo "usage: $0 0|1 NAME-OF-MACHINE-0 [FLAGS OF THE RUN]" >&2; exit 2 ;;
esac
shift 2

# After a failure, torchrun starts all processes again, three times at most, and they go on from the last checkpoint. Every
# orderly end has the exit code 0; last.json of machine 0 has that of the run.
exec torchrun --no-python --nnodes 2 --node-rank "$machine" --nproc-per-node "${GPUS:-8}" \
    --master-addr "$first" --master-port "${PORT:-29500}" --max-restarts 3 \
    amdim-stream --config nightly.toml --out runs/machines --batch-size 256 --summary last.json "$@"
