#!/bin/sh
# Puts the Python packages that tests need into the cache folder (420 MB), with Python's torch from the wheel that
# libtorch came in, and writes `.python`, which starts that Python. Safe to repeat. tools/setup.sh comes first.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${AMDIM_STREAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/amdim-stream}
# The first eight are torch's own; complete lists, so that nothing else comes along.
packages="typing-extensions==4.16.0 sympy==1.14.0 mpmath==1.3.0 networkx==3.6.1 jinja2==3.1.6 markupsafe==3.0.4 fsspec==2026.9.0
    filelock==4.2.12 numpy==2.4.6 pyarrow==26.0.1 onnx==1.23.2 ml-dtypes==0.6.0 onnxruntime==1.32.0
    protobuf==7.36.2 flatbuffers==25.12.19 packaging==26.3
    tensorboard==2.21.0 tensorboard-data-server==0.7.2 absl-py==2.5.1 grpcio==1.85.3 markdown==3.11.3 werkzeug==3.1.9"

fail() { # CAUSE HINT
    printf 'setup: %s\n  hint: %s\n' "$1" "$2" >&2
    exit 1
}

wheel=$(cd "$(readlink -f "$root/.libtorch")/.." && pwd)
# A libtorch of your own comes without Python: then the wheel is fetched as well (0.5 GB).
if ! python3 -c "import sys; sys.path.insert(0, '$root/tools'); import pathlib, torch_cpu; sys.exit(not torch_cpu.has_torch(pathlib.Path('$wheel')))"; then
    packages="$packages torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85"
    wheel=
fi

# Another list, or another wheel, is another folder.
folder=$cache/python-$(printf '%s %s' "$packages" "$wheel" | sha256sum | cut -c1-12)
exec 9>"$cache/lock"
flock 9
if ! [ -e "$folder/complete" ]; then
    echo "setup: fetching Python packages for tests into $folder, once" >&2
    rm -rf "$folder"
    # shellcheck disable=SC2086  # a list of packages
    python3 -m pip install --quiet --no-cache-dir --no-compile --no-deps --target "$folder/packages" $packages >&2 ||
        fail "pip could not fetch the packages that tests need" "check the network and the disk (\`df -h $cache\`), then run this again"
    python3 - "$root/tools" "${wheel:-$folder/packages}" "$folder" <<PYTHON
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import torch_cpu
wheel, folder = map(pathlib.Path, sys.argv[2:])
preload = ":".join(map(str, torch_cpu.stand_ins(wheel, folder / "stand-ins")))
(folder / "python").write_text(f"""#!/bin/sh
# Python with torch, numpy, pyarrow, onnxruntime and tensorboard; CUDA's libraries are stand-ins.
export PYTHONPATH='{folder}/packages:{wheel}' PYTHONDONTWRITEBYTECODE=1
LD_PRELOAD='{preload}' exec python3 "\$@"
""")
(folder / "python").chmod(0o755)
PYTHON
    "$folder/python" -c 'import torch, numpy, pyarrow, onnxruntime, tensorboard' ||
        fail "the fetched packages do not load" "the message above says why; \`rm -r $folder\` and run this again"
    touch "$folder/complete"
fi
exec 9>&-
ln -sfn "$folder/python" "$root/.python"
