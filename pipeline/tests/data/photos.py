"""Makes `photos/`: photographs as JPEGs, and what Pillow makes of crops of them.

    pip install pillow==12.0.0 numpy scikit-image scikit-learn && python3 photos.py

Each line of `crops.tsv` is a photo, a crop (left, top, width, height) and the FNV-1a digest of its 128×128 pixels after
decoding, cropping and bicubic resizing by Pillow.
"""

import pathlib
import shutil

import numpy
import PIL
import skimage
import sklearn.datasets
from PIL import Image

OUT = pathlib.Path(__file__).with_name("photos")
SKIMAGE = pathlib.Path(skimage.__file__).with_name("data")
SKLEARN = pathlib.Path(sklearn.datasets.__file__).with_name("images")
CROPS = 40


def fnv(data):
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return digest


def main():
    OUT.mkdir(exist_ok=True)
    for name, subsampling in (("astronaut", "4:2:0"), ("coffee", "4:2:2"), ("chelsea", "4:4:4")):
        image = Image.open(SKIMAGE / f"{name}.png").convert("RGB")
        image.save(OUT / f"{name}.jpg", quality=88, subsampling=subsampling)
    for path in (SKIMAGE / "rocket.jpg", SKLEARN / "china.jpg", SKLEARN / "flower.jpg"):
        shutil.copyfile(path, OUT / path.name)
    draws = numpy.random.default_rng(7)
    lines = [f"# Pillow {PIL.__version__}"]
    for path in sorted(OUT.glob("*.jpg")):
        image = Image.open(path).convert("RGB")
        for _ in range(CROPS):
            width, height = (int(draws.integers(side // 4, side + 1)) for side in image.size)
            left, top = int(draws.integers(image.width - width + 1)), int(draws.integers(image.height - height + 1))
            view = image.crop((left, top, left + width, top + height)).resize((128, 128), Image.BICUBIC)
            lines.append("\t".join(map(str, (path.name, left, top, width, height, f"{fnv(view.tobytes()):016x}"))))
    (OUT / "crops.tsv").write_text("\n".join(lines) + "\n")


main()
