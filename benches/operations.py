"""Times operations of Pillow (or pillow-simd) and OpenCV on the images that `operations.rs` sends to stdin.

Prints {library and version: {operation: microseconds of CPU time}}. Images are interleaved RGB: the photo of 500×375 pixels,
then the view of 224×224.
"""

import json
import math
import sys
import time

SIDE = 224
LEFT, TOP, CROP = 90, 20, 335
REPEATS = 10

photo = sys.stdin.buffer.read(500 * 375 * 3)
view = sys.stdin.buffer.read(SIDE * SIDE * 3)


def timed(work):
    work()
    start = time.thread_time()
    for _ in range(REPEATS):
        work()
    return (time.thread_time() - start) / REPEATS * 1e6


def matrix():
    """The affine transformation of the bench, from pixels of the result to those of the view."""
    cos, sin = 1.1 * math.cos(math.radians(12)), 1.1 * math.sin(math.radians(12))
    half = SIDE / 2
    return cos, -sin, 115 - cos * half + sin * half, sin, cos, 108 - sin * half - cos * half


def pillow():
    import PIL
    from PIL import Image, ImageEnhance, ImageFilter, ImageOps

    whole, small = Image.frombytes("RGB", (500, 375), photo), Image.frombytes("RGB", (SIDE, SIDE), view)

    def crop(filter):
        return whole.crop((LEFT, TOP, LEFT + CROP, TOP + CROP)).resize((SIDE, SIDE), filter)

    def jitter():
        # As torchvision does for PIL images.
        image = ImageEnhance.Brightness(small).enhance(1.2)
        image = ImageEnhance.Contrast(image).enhance(0.8)
        image = ImageEnhance.Color(image).enhance(1.3)
        hue, saturation, value = image.convert("HSV").split()
        hue = hue.point([(step + 17) % 256 for step in range(256)])
        return Image.merge("HSV", (hue, saturation, value)).convert("RGB")

    def gray():
        one = small.convert("L")
        return Image.merge("RGB", (one, one, one))

    name = "pillow-simd" if ".post" in PIL.__version__ else "Pillow"
    return f"{name} {PIL.__version__}", {
        "crop of 335×335, bicubic": lambda: crop(Image.BICUBIC),
        "crop of 335×335, bilinear": lambda: crop(Image.BILINEAR),
        "crop of 335×335, bilinear, and flip": lambda: crop(Image.BILINEAR).transpose(Image.FLIP_LEFT_RIGHT),
        "colour jitter": jitter,
        "grayscale": gray,
        "flip": lambda: small.transpose(Image.FLIP_LEFT_RIGHT),
        "Gaussian blur, sigma 0.5": lambda: small.filter(ImageFilter.GaussianBlur(0.5)),
        "Gaussian blur, sigma 1": lambda: small.filter(ImageFilter.GaussianBlur(1)),
        "Gaussian blur, sigma 2": lambda: small.filter(ImageFilter.GaussianBlur(2)),
        "solarize": lambda: ImageOps.solarize(small, 128),
        "affine": lambda: small.transform((SIDE, SIDE), Image.AFFINE, matrix(), Image.BILINEAR),
    }


def opencv():
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    whole = np.frombuffer(photo, np.uint8).reshape(375, 500, 3)
    small = np.frombuffer(view, np.uint8).reshape(SIDE, SIDE, 3)
    turn = np.array(matrix()).reshape(2, 3)

    def crop(filter):
        return cv2.resize(whole[TOP:TOP + CROP, LEFT:LEFT + CROP], (SIDE, SIDE), interpolation=filter)

    return f"OpenCV {cv2.__version__} (crops without antialiasing)", {
        "crop of 335×335, bicubic": lambda: crop(cv2.INTER_CUBIC),
        "crop of 335×335, bilinear": lambda: crop(cv2.INTER_LINEAR),
        "crop of 335×335, bilinear, and flip": lambda: cv2.flip(crop(cv2.INTER_LINEAR), 1),
        "grayscale": lambda: cv2.cvtColor(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
        "flip": lambda: cv2.flip(small, 1),
        "Gaussian blur, sigma 0.5": lambda: cv2.GaussianBlur(small, (23, 23), 0.5),
        "Gaussian blur, sigma 1": lambda: cv2.GaussianBlur(small, (23, 23), 1),
        "Gaussian blur, sigma 2": lambda: cv2.GaussianBlur(small, (23, 23), 2),
        "solarize": lambda: np.where(small < 128, small, 255 - small),
        "affine": lambda: cv2.warpAffine(small, turn, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                                         borderMode=cv2.BORDER_REFLECT_101),
    }


found = {}
for library in (pillow, opencv):
    try:
        name, operations = library()
    except ImportError:
        continue
    found[name] = {operation: timed(work) for operation, work in operations.items()}
print(json.dumps(found))
