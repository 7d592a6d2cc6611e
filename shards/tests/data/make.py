"""Makes the fixtures beside it: the same samples, as written by GNU tar, by Python's tarfile and by webdataset.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install webdataset==1.0.2
    /tmp/venv/bin/python make.py

Committed as written by GNU tar 1.34, Python 3.11.7 and webdataset 1.0.2. What is in them is listed in `formats.rs`.
"""

import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

import webdataset

HERE = Path(__file__).resolve().parent
LONG = "d" * 80 + "/" + "n" * 90  # fits into ustar's prefix field
LONGER = "e" * 130 + "/" + "f" * 200  # does not

FILES = [
    ("a/1.cls", b"0\n"),
    ("a/1.jpg", b"first image"),
    ("a/._1.jpg", b"written by macOS"),
    ("a/2.PNG", b"second image"),
    ("a/2.json", b'{"label": 3, "more": [1]}'),
    ("b/3.jpeg", b"third image"),
    ("b/3.seg.png", b"not an image of ours"),
    ("b/3.cls", b"-1"),
    ("b/4.txt", b"no image here"),
    ("b/5.jpg", b""),
    ("ünï/ключ.jpg", b"name beyond ASCII"),
    ("ünï/ключ.cls", b" 7 "),
    (LONG + ".jpg", b"long name"),
    (LONG + ".cls", b"1"),
    (LONGER + ".jpg", b"longer name"),
    (LONGER + ".cls", b"2"),
]


def files(form):
    return [f for f in FILES if form != "ustar" or not f[0].startswith(LONGER)]


def by_gnu_tar(form):
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files(form):
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        os.symlink("1.jpg", Path(folder, "a/link.jpg"))
        os.link(Path(folder, "a/1.jpg"), Path(folder, "a/same.jpg"))
        names = ["a/link.jpg"] + [name for name, _ in files(form)] + ["a/same.jpg"]
        options = [f"--format={form}", "-b1", "--no-recursion", "--mtime=@0.5", "--owner=0", "--group=0"]
        target = HERE / f"gnu-tar-{form}.tar"
        subprocess.run(["tar", *options, "-cf", target, "-C", folder, "a", *names], check=True)


def by_tarfile(name, form):
    with tarfile.open(HERE / f"tarfile-{name}.tar", "w", format=form) as tar:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name_, data in files(name):
            info = tarfile.TarInfo(name_)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def by_webdataset():
    with webdataset.TarWriter(str(HERE / "webdataset.tar"), encoder=False, mtime=0) as writer:
        samples = {}
        for name, data in FILES:
            folder, base = name.rsplit("/", 1)
            key, extension = base.split(".", 1)
            if key:
                samples.setdefault(folder + "/" + key, {})[extension] = data
        for key, members in samples.items():
            writer.write({"__key__": key, **members})


for form in ["ustar", "gnu", "posix"]:
    by_gnu_tar(form)
for name, form in [("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)]:
    by_tarfile(name, form)
by_webdataset()
