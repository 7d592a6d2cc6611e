#!/bin/sh
# Copies the program and the parts of libtorch that it needs into a folder, for machines without libtorch. The program runs from
# wherever the folder is. Includes CUDA if the libtorch that .libtorch leads to has all of it.
#
#   contrib/gather.sh target/release/amdim-stream FOLDER
set -eu

[ $# = 2 ] || { echo "usage: $0 PROGRAM FOLDER" >&2; exit 2; }
program=$1 # beside it is amdim-stream-main, which is linked with libtorch
mkdir -p "$2/libtorch/lib"
folder=$(cd "$2" && pwd)
libtorch=$(readlink -f "$(dirname "$0")/../.libtorch")
wheel=$(dirname "$libtorch")

cp -L "$program" "$folder/amdim-stream"
cp -L "$(dirname "$program")/amdim-stream-main" "$folder"
cd "$libtorch/lib"
cp -L libc10.so libtorch_cpu.so "$folder/libtorch/lib"
# Other builds of libtorch may use the system's libgomp, and CUDA libraries from other folders.
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
