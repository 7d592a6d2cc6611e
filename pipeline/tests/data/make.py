"""Makes `formats/`: images as other programs write them, and beside each its pixels as Pillow shows them.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install pillow==13.0.0 numpy opencv-python-headless==5.0.0.93
    /tmp/venv/bin/python make.py

`formats/NAME` is an image, `formats/expected/NAME.png` what Pillow makes of it: turned as its EXIF says
(`ImageOps.exif_transpose`) and `convert("RGB")`. Of 16-bit grayscale, which that clips to white, it is the upper eight
bits. Committed as written by Pillow 13.0.0 (libjpeg-turbo 3.2.0, libwebp 1.6.0). OpenCV writes the two kinds of JPEG
that Pillow cannot. `cmyk.jpg` and `cmyk.png` are older.
"""

import io
import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

FOLDER = Path(__file__).resolve().parent / "formats"
WIDTH, HEIGHT = 37, 23  # no multiples of any block


def picture():
    """Smooth, with an edge and some noise."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [6 * x + y, 200 - 5 * y + 30 * (x > y), 128 + 90 * np.sin(x / 4) * np.cos(y / 5)]
    noise = np.random.default_rng(1).integers(-6, 7, (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.clip(np.stack(planes, -1) + noise, 0, 255).astype(np.uint8))


RGB = picture()
GRAY = RGB.convert("L")
RGBA = RGB.copy()
RGBA.putalpha(Image.fromarray((np.mgrid[0:HEIGHT, 0:WIDTH][1] * 7 % 256).astype(np.uint8)))


def encoded(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def write(name, data):
    (FOLDER / name).write_bytes(data)
    with Image.open(io.BytesIO(data)) as image:
        if image.mode == "I;16":  # clipped to white by `convert`; as Pillow treats 16 bits of all other kinds
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    Image.fromarray(shown).save(FOLDER / "expected" / f"{name}.png", optimize=True)


def exif(value, byte_order="<", kind="H"):
    mark = b"II*\0" if byte_order == "<" else b"MM\0*"
    number = struct.pack(byte_order + kind, value).ljust(4, b"\0")
    entry = struct.pack(byte_order + "HHI", 0x0112, {"H": 3, "I": 4}[kind], 1) + number
    return mark + struct.pack(byte_order + "IH", 8, 1) + entry + bytes(4)


def jpegs():
    save = lambda image, **options: encoded(image, "JPEG", quality=85, **options)
    for name, subsampling in [("444", "4:4:4"), ("422", "4:2:2"), ("420", "4:2:0")]:
        write(f"baseline-{name}.jpg", save(RGB, subsampling=subsampling))
    pixels = np.asarray(RGB)[:, :, ::-1]
    for name in ["411", "440"]:
        factor = getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}")
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor])
        write(f"baseline-{name}.jpg", data.tobytes())
    write("progressive-420.jpg", save(RGB, progressive=True))
    write("progressive-444.jpg", save(RGB, progressive=True, subsampling="4:4:4"))
    write("restarts.jpg", save(RGB, restart_marker_blocks=2))
    write("gray.jpg", save(GRAY))
    write("gray-progressive.jpg", save(GRAY, progressive=True))
    write("rgb-components.jpg", save(RGB, keep_rgb=True))
    cmyk = save(RGB.convert("CMYK"))
    write("cmyk.jpg", cmyk)
    # The last byte of Adobe's segment says how colours are coded: 2 is YCCK.
    assert cmyk.count(b"Adobe") == 1
    at = cmyk.index(b"Adobe") + 11
    write("ycck.jpg", cmyk[:at] + b"\2" + cmyk[at + 1 :])
    for value in range(1, 9):
        write(f"orientation-{value}.jpg", save(RGB, exif=b"Exif\0\0" + exif(value, "<>"[value % 2])))
    write("orientation-long.jpg", save(GRAY, exif=b"Exif\0\0" + exif(6, ">", "I")))
    write("orientation-9.jpg", save(GRAY, exif=b"Exif\0\0" + exif(9)))
    write("orientation-cmyk.jpg", save(RGB.convert("CMYK"), exif=b"Exif\0\0" + exif(8)))


def pngs():
    save = lambda image, **options: encoded(image, "PNG", **options)
    write("rgb.png", save(RGB))
    write("rgb-transparent-color.png", save(RGB, transparency=RGB.getpixel((0, 0))))
    write("rgba.png", save(RGBA))
    write("gray.png", save(GRAY))
    write("gray-alpha.png", save(RGBA.convert("LA")))
    write("gray-transparent-color.png", save(GRAY, transparency=GRAY.getpixel((0, 0))))
    write("bits.png", save(GRAY.convert("1")))
    for colors in [200, 16, 4, 2]:
        palette = RGB.quantize(colors)
        write(f"palette-{colors}.png", save(palette))
        if colors in (200, 4):
            write(f"palette-{colors}-transparent.png", save(palette, transparency=bytes(range(colors))))
    write("orientation-exif.png", save(RGB, exif=exif(6)))
    # EXIF data may also follow the pixels.
    plain = save(RGB)
    end = plain.index(b"IEND") - 4
    write("orientation-exif-late.png", plain[:end] + chunk(b"eXIf", exif(5, ">")) + plain[end:])
    random = np.random.default_rng(2)
    for name, kind, bits in [
        ("gray-2-bits", 0, 2),
        ("gray-4-bits", 0, 4),
        ("gray-16-bits", 0, 16),
        ("gray-alpha-16-bits", 4, 16),
        ("rgb-16-bits", 2, 16),
        ("rgba-16-bits", 6, 16),
    ]:
        write(f"{name}.png", raw_png(kind, bits, random))
    for name, kind, bits in [("rgb", 2, 8), ("rgba", 6, 8), ("gray-2-bits", 0, 2), ("rgb-16-bits", 2, 16)]:
        write(f"interlaced-{name}.png", raw_png(kind, bits, random, is_interlaced=True))


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def raw_png(kind, bits, random, is_interlaced=False):
    """A PNG of random pixels; its rows are not filtered."""
    width, height = 13, 11
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    pixels = random.integers(0, 2**bits, (height, width, samples))
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    data = b""
    for x, y, dx, dy in passes if is_interlaced else [(0, 0, 1, 1)]:
        for row in pixels[y::dy, x::dx]:
            digits = "".join(f"{value:0{bits}b}" for value in row.flat)
            digits += "0" * (-len(digits) % 8)
            data += bytes([0]) + int(digits, 2).to_bytes(len(digits) // 8, "big")
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, is_interlaced)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def webps():
    save = lambda image, **options: encoded(image, "WEBP", **options)
    lossy, small = save(RGB, quality=80), save(RGB.resize((16, 8)), quality=80)
    write("lossy.webp", lossy)
    write("lossy-low-quality.webp", save(RGB, quality=5))
    write("lossy-alpha.webp", save(RGBA, quality=80))
    write("lossless.webp", save(RGB, lossless=True))
    write("lossless-alpha.webp", save(RGBA, lossless=True, exact=True))
    write("palette.webp", save(RGB.quantize(8).convert("RGB"), lossless=True))
    write("orientation.webp", save(RGB, quality=80, exif=b"Exif\0\0" + exif(7)))
    write("orientation-lossless.webp", save(RGBA, lossless=True, exif=exif(8, ">")))
    animation = dict(save_all=True, append_images=[GRAY.convert("RGB")], duration=50)
    write("animation.webp", save(RGB, **animation))
    write("animation-lossless.webp", save(RGBA, lossless=True, **animation))
    # The first frame leaves some of the canvas free.
    frame = u24(10 // 2, 4 // 2, 16 - 1, 8 - 1, 50) + b"\0" + small[12:]
    features = bytes([0x02, 0, 0, 0]) + u24(WIDTH - 1, HEIGHT - 1)
    chunks = [(b"VP8X", features), (b"ANIM", b"\xff\xff\xff\xff\0\0"), (b"ANMF", frame)]
    write("animation-small-frame.webp", riff(chunks))


def u24(*values):
    return b"".join(value.to_bytes(3, "little") for value in values)


def riff(chunks):
    data = b"WEBP"
    for name, content in chunks:
        data += name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(data)) + data


shutil.rmtree(FOLDER, ignore_errors=True)
(FOLDER / "expected").mkdir(parents=True)
jpegs()
pngs()
webps()
