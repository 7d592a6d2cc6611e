#!/bin/sh
# Fills a folder with the program and what it needs of libtorch, to be carried to a machine without: it starts from wherever the
# folder lies. With CUDA where the libtorch that .libtorch leads to has all of it.
#
#   contrib/gather.sh target/release/amdim-stream FOLDER
set -eu

[ $# = 2 ] || { echo "usage: $0 PROGRAM FOLDER" >&2; exit 2; }
program=$1 # amdim-stream-main, which is linked with libtorch, lies beside it
mkdir -p "$2/libtorch/lib"
folder=$(cd "$2" && pwd)
libtorch=$(readlink -f "$(dirname "$0")/../.libtorch")
wheel=$(dirname "$libtorch")

cp -L "$program" "$folder/amdim-stream"
cp -L "$(dirname "$program")/amdim-stream-main" "$folder"
cd "$libtorch/lib"
cp -L libc10.so libtorch_cpu.so "$folder/libtorch/lib"
# A libtorch of your own may take this from the system, and the two of CUDA below from elsewhere.
for own in libgomp*.so*; do
    if [ -e "$own" ]; then cp -L "$own" "$folder/libtorch/lib"; fi
done
[ -d "$wheel/nvidia" ] || exit 0
cd "$wheel"
if [ -d nvidia/cudnn/lib ]; then
    cp -L torch/lib/libc10_cuda.so torch/lib/libcaffe2_nvrtc.so torch/lib/libtorch_cuda.so torch/lib/libtorch_cuda_linalg.so \
        torch/lib/libtorch_nvshmem.so "$folder/libtorch/lib"
    libraries=$(echo nvidia/*/lib/*.so*)
else
    libraries='nvidia/cu13/lib/libcudart.so.13 nvidia/cu13/lib/libcupti.so.13'
fi
for library in $libraries; do
    mkdir -p "$folder/$(dirname "$library")"
    cp -L "$library" "$folder/$library"
done
