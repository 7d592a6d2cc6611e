#!/bin/sh
# Makes a fresh machine ready to build: checks the Rust toolchain, installs the system packages that a build needs,
# puts libtorch into the cache folder and points .libtorch at it. Safe to repeat: what is there is left alone.
#
#   LIBTORCH            a libtorch 2.11 of your own (the folder with lib/ and include/); wins over the cache
#   AMDIM_STREAM_CACHE  the cache folder (default: $XDG_CACHE_HOME/amdim-stream or ~/.cache/amdim-stream)
#   AMDIM_STREAM_LIBTORCH  cpu or cuda: which libtorch to fetch (default: cuda where there is an NVIDIA driver)
set -eu

torch_version=2.11.0
rust_version=1.89
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${AMDIM_STREAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/amdim-stream}

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { # CAUSE HINT
    printf 'setup: %s\n  hint: %s\n' "$1" "$2" >&2
    exit 1
}

check_rust() {
    command -v cargo >/dev/null || fail "no Rust toolchain (\`cargo\` is not on the PATH)" \
        "install Rust $rust_version or later with rustup (rustup.rs), open a new shell and run this again"
    found=$(rustc --version | sed 's/^rustc \([0-9]*\.[0-9]*\).*/\1/')
    oldest=$(printf '%s\n%s\n' "$rust_version" "$found" | sort -V | head -n 1)
    [ "$oldest" = "$rust_version" ] || fail "Rust $found is too old" "\`rustup update stable\` (needs $rust_version)"
    for part in clippy-driver:clippy rustfmt:rustfmt; do
        command -v "${part%%:*}" >/dev/null || fail "${part##*:} is missing" "rustup component add ${part##*:}"
    done
}

check_platform() {
    case $(uname -s)-$(uname -m) in
        Linux-x86_64) ;;
        *) say "untested on $(uname -s) on $(uname -m): what is tested is Linux on x86_64" ;;
    esac
}

# C++ for torch-sys; cmake and nasm for libjpeg-turbo and its SIMD code; python and pip to fetch libtorch.
missing_packages() {
    command -v c++ >/dev/null || printf 'g++ '
    command -v cmake >/dev/null || printf 'cmake '
    command -v nasm >/dev/null || printf 'nasm '
    [ -n "${LIBTORCH:-}" ] || python3 -m pip --version >/dev/null 2>&1 || printf 'python3 python3-pip '
}

install_packages() {
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0
    if ! command -v apt-get >/dev/null; then
        fail "missing on this machine: $packages" "install them with your system's package manager and run this again"
    elif [ "$(id -u)" != 0 ]; then
        fail "missing on this machine: $packages" "sudo apt-get update && sudo apt-get install -y $packages"
    fi
    say "installing $packages"
    apt-get update -qq >&2
    # shellcheck disable=SC2086  # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >&2
}

# The wheel holds headers and libraries for CPU and CUDA. Without a GPU the two small CUDA libraries that
# libtorch_cpu.so itself is linked with are enough; with one, everything that the wheel asks for (3 GB) comes along.
# cuda-crt has the headers that CUDA graphs are compiled with, cuda-cccl those of NCCL.
fetch_libtorch() { # FLAVOUR FOLDER
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "$(python3 --version) is too old to fetch libtorch $torch_version" "install Python 3.10 or later, or set LIBTORCH"
    say "fetching libtorch $torch_version ($1) into $2: 0.5 GB, with CUDA 3 GB, once for all checkouts"
    rm -rf "$cache"/partial.* # of a fetch that was killed; the lock says that none is under way
    partial=$(mktemp -d "$cache/partial.XXXXXX")
    trap 'rm -rf "$partial"' EXIT
    trap 'exit 130' INT TERM
    if [ "$1" = cuda ]; then
        set -- "$1" "$2" "torch==$torch_version" 'nvidia-cuda-crt==13.0.*' 'nvidia-cuda-cccl==13.0.*'
    else
        set -- "$1" "$2" --no-deps "torch==$torch_version" 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cupti==13.0.*' \
            'nvidia-cuda-crt==13.0.*'
    fi
    destination=$2
    shift 2
    python3 -m pip install --quiet --no-cache-dir --no-compile --target "$partial" "$@" >&2 ||
        fail "pip could not fetch libtorch" "check the network and the disk (\`df -h $cache\`), then run this again; or set LIBTORCH"
    python3 -c "import ctypes; ctypes.CDLL('$partial/torch/lib/libtorch_cpu.so')" ||
        fail "the fetched libtorch does not load" "the message above names the library that is missing on this machine"
    chmod 755 "$partial" # mktemp made it private
    rm -rf "$destination"
    mv -T "$partial" "$destination"
    trap - EXIT INT TERM
}

find_libtorch() {
    if [ -n "${LIBTORCH:-}" ]; then
        [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] ||
            fail "LIBTORCH=\`$LIBTORCH\` has no lib/libtorch_cpu.so" "name the folder that holds lib/ and include/, or unset LIBTORCH"
        libtorch=$(cd "$LIBTORCH" && pwd -P)
        return
    fi
    flavour=cpu
    if [ -e /dev/nvidiactl ]; then flavour=cuda; fi
    flavour=${AMDIM_STREAM_LIBTORCH:-$flavour}
    case $flavour in
        cpu | cuda) ;;
        *) fail "no libtorch \`$flavour\`" "AMDIM_STREAM_LIBTORCH is cpu or cuda" ;;
    esac
    folder=$cache/torch-$torch_version-$flavour
    mkdir -p "$cache" || fail "cannot write to the cache folder \`$cache\`" "set AMDIM_STREAM_CACHE to a folder of yours"
    exec 9>"$cache/lock"
    flock 9 # another checkout may be fetching it right now
    last=crt/host_config.h # the header that the fetch of an earlier version lacks
    if [ "$flavour" = cuda ]; then last=nv/target; fi
    if ! [ -e "$folder/torch/lib/libtorch_cpu.so" ] || ! [ -e "$folder/nvidia/cu13/include/$last" ]; then
        fetch_libtorch "$flavour" "$folder"
    fi
    exec 9>&-
    libtorch=$folder/torch
}

link_libtorch() {
    [ "$(readlink "$root/.libtorch" 2>/dev/null || true)" = "$libtorch" ] && return
    ln -sfn "$libtorch" "$root/.libtorch"
    say "libtorch: $libtorch"
}

check_platform
check_rust
install_packages
find_libtorch
link_libtorch
