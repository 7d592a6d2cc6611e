"""Makes the torch wheel importable without the CUDA libraries that it is linked with.

The wheel that `tools/setup.sh` fetched for its libtorch holds Python's torch as well, but loading it asks for 2.5 GB of
CUDA libraries, of which a loader on the CPU calls nothing. Each absent one is replaced by an empty library of its name,
and one more library has all their functions, which end the process if ever called. `LD_PRELOAD` makes them known.
"""

import re
import subprocess
import sys
from pathlib import Path


def has_torch(packages):
    """Whether this Python can import the torch in the folder `packages`."""
    return any((packages / "torch").glob(f"_C.cpython-{sys.version_info.major}{sys.version_info.minor}-*.so"))


def stand_ins(packages, folder):
    """Libraries to preload for the torch in `packages`; none where its CUDA libraries are there."""
    ours = [lib for lib in (packages / "torch/lib").glob("*.so*") if "caffe2_nvrtc" not in lib.name]
    others = list(packages.glob("nvidia/*/lib/*.so*"))
    needed = set().union(*(re.findall(r"NEEDED.*\[(lib(?:cu|nccl|nv).*)\]", dynamic(lib)) for lib in ours))
    absent = sorted(needed - {lib.name for lib in ours + others} - {"libcuda.so.1"})
    if not absent:
        return []
    called = set().union(*(re.findall(r" UND ((?:cu|nccl|nv)[a-zA-Z]\w+)", dynamic(lib)) for lib in ours))
    called -= set().union(*(re.findall(r" \d+ (\w+)@@", dynamic(lib)) for lib in others))
    folder.mkdir(parents=True, exist_ok=True)
    labels = "".join(f".globl {name}\n.type {name}, @function\n{name}:\n" for name in sorted(called))
    return [assemble(folder / "libabsent.so", f".text\n{labels}ud2\n"), *(assemble(folder / name, "") for name in absent)]


def dynamic(library):
    """Its dynamic section and symbols."""
    return subprocess.run(["readelf", "-dW", "--dyn-syms", library], capture_output=True, text=True, check=True).stdout


def assemble(library, code):
    command = ["cc", "-shared", "-nostdlib", f"-Wl,-soname,{library.name}", "-x", "assembler", "-", "-o", library]
    subprocess.run(command, input=f"{code}.section .note.GNU-stack\n", text=True, check=True)
    return library
