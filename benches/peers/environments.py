"""Virtual environments of peers, in pinned versions."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from commands import Failed, call, say

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import torch_cpu  # noqa: E402

XDG_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = Path(os.environ.get("AMDIM_STREAM_CACHE") or XDG_CACHE / "amdim-stream").resolve() / "peers"

TORCH = ["typing-extensions==4.16.0", "sympy==1.14.0", "mpmath==1.3.0", "networkx==3.6.1", "jinja2==3.1.6",
         "markupsafe==3.0.4", "fsspec==2026.9.0", "filelock==4.2.12"]
TORCH_ITSELF = ["torch==2.11.0", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"]
WEBDATASET = ["torchvision==0.26.0", "webdataset==1.0.2", "braceexpand==0.1.7", "pyyaml==6.0.4", "numpy==2.4.6"]
ALBUMENTATIONS = ["albumentations==2.0.8", "albucore==0.0.24", "opencv-python-headless==4.11.0.86", "scipy==1.17.1",
                  "pydantic==2.14.4", "pydantic-core==2.50.5", "annotated-types==0.8.0", "typing-inspection==0.4.5",
                  "stringzilla==5.3.2", "simsimd==6.5.16"]
DALI = ["nvidia-dali-cuda130==2.4.0", "nvidia-nvimgcodec-cu13==0.9.0.20", "numpy==2.4.6", "astunparse==1.6.3",
        "gast==0.7.0", "libcst==1.9.0", "makefun==1.16.0", "nvtx==0.2.17", "optree==0.20.0", "packaging==26.3",
        "pyyaml==6.0.4", "six==1.17.0", "typing-extensions==4.16.0"]
FFCV = ["ffcv==1.0.2", "numba==0.61.2", "llvmlite==0.44.0", "numpy==2.2.6", "opencv-python-headless==4.11.0.86",
        "pillow==12.0.0", "pytorch-pfn-extras==0.9.0", "fastargs==1.2.0", "terminaltables==3.1.10", "assertpy==1.1",
        "psutil==7.2.2", "tqdm==4.70.1", "packaging==26.3"]


@dataclasses.dataclass
class Venv:
    """A virtual environment, in a folder named after its list of packages: other versions get another folder."""

    name: str
    packages: list
    torch: bool = False
    # Environment variables of pip, and a function that installs or checks system packages first.
    environment: dict = dataclasses.field(default_factory=dict)
    before: callable = lambda: None

    @property
    def folder(self):
        asked = json.dumps([self.packages, self.torch, self.environment, sys.version_info[:2]])
        return CACHE / f"{self.name}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"

    @property
    def python(self):
        return self.folder / "bin/python"

    def install(self):
        """Makes the folder unless it is complete."""
        if (self.folder / "complete").exists():
            return
        say(f"installing {self.name}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.before()
        call([sys.executable, "-m", "venv", self.folder], "install")
        if self.torch and LIBTORCH:
            (site,) = self.folder.glob("lib/python*/site-packages")
            (site / "torch.pth").write_text(f"{LIBTORCH}\n")
        self.pip("setuptools==81.0.0", "wheel==0.46.3")
        itself = TORCH_ITSELF if self.torch and not LIBTORCH else []
        self.pip(*itself, *(TORCH if self.torch else []), *self.packages)
        (self.folder / "complete").touch()

    def pip(self, *packages):
        # Without dependencies: the lists are complete except for CUDA libraries, which nothing here uses.
        command = [self.python, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
        call([*command, *packages], "install", self.environment)

    def run_environment(self):
        if not self.torch:
            return {}
        (packages,) = [LIBTORCH] if LIBTORCH else self.folder.glob("lib/python*/site-packages")
        return {"LD_PRELOAD": ":".join(map(str, torch_cpu.stand_ins(packages, self.folder / "stand-ins")))}


def libtorch():
    """Returns the folder of packages with the libtorch of `make setup`, if it is a wheel for this Python."""
    packages = (ROOT / ".libtorch").resolve().parent
    return packages if torch_cpu.has_torch(packages) else None


def ffcv_libraries():
    """Installs or checks the libraries that FFCV is compiled with: turbojpeg and two modules of OpenCV."""
    packages = ["g++", "pkg-config", "libturbojpeg0-dev", "libopencv-core-dev", "libopencv-imgproc-dev"]
    found = [shutil.which("g++"), shutil.which("pkg-config"),
             subprocess.run(["pkg-config", "--exists", "libturbojpeg"]).returncode == 0,
             Path("/usr/include/opencv4/opencv2/imgproc.hpp").exists()] if shutil.which("pkg-config") else [False]
    if not all(found):
        hint = f"`apt-get install -y --no-install-recommends {' '.join(packages)}`"
        if not shutil.which("apt-get") or os.geteuid() != 0:
            raise Failed(f"needs as root: {hint}")
        call(["apt-get", "update", "-qq"], "install")
        call(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], "install",
             {"DEBIAN_FRONTEND": "noninteractive"})
    # Debian's own opencv4.pc and opencv.hpp need all modules and their dependencies, 500 MB.
    include = CACHE / "opencv/include"
    (include / "opencv2").mkdir(parents=True, exist_ok=True)
    (include / "opencv2/opencv.hpp").write_text("#include <opencv2/core.hpp>\n#include <opencv2/imgproc.hpp>\n")
    (CACHE / "opencv/opencv4.pc").write_text(
        "Name: opencv4\nDescription: core and imgproc\nVersion: 4\nLibs: -lopencv_imgproc -lopencv_core\n"
        f"Cflags: -I{include} -I/usr/include/opencv4\n")


LIBTORCH = libtorch()
