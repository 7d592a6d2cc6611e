"""Writes what `dataset/src/pack/convert.rs` is held to: small GIF, BMP and TIFF files, and the pixels that Pillow's `convert("RGB")` makes
of them after `exif_transpose`. With Pillow 12: `python3 tests/python/converted.py > dataset/tests/converted.json`."""

import io
import json
import struct

from PIL import Image, ImageOps

WIDTH, HEIGHT = 7, 5
FILES = {}


def rgb():
    image = Image.new("RGB", (WIDTH, HEIGHT))
    image.putdata([((x * 37 + y * 7) % 256, (x * x * 9 + y * 59) % 256, (x * y * 23 + 5 * x) % 256) for y in range(HEIGHT) for x in range(WIDTH)])
    return image


def rgba():
    image = rgb().convert("RGBA")
    image.putalpha(Image.frombytes("L", (WIDTH, HEIGHT), bytes((x * 40 + y * 3) % 256 for y in range(HEIGHT) for x in range(WIDTH))))
    return image


def gray16(step):
    return Image.frombytes("I;16", (WIDTH, HEIGHT), b"".join(struct.pack("<H", i * step % 65536) for i in range(WIDTH * HEIGHT)))


def save(name, image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    FILES[name] = file.getvalue()


def bits(values, width):
    """Values of some bits each, from the highest bit on."""
    text = "".join(f"{value:0{width}b}" for value in values)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[at:at + 8], 2) for at in range(0, len(text), 8))


def rows(width, values):
    return [bits([(x * x + y * 3) % values for x in range(WIDTH)], width) for y in range(HEIGHT)]


def lzw(indices):
    """Of four colours; a clear code often enough that codes stay of three bits."""
    codes = []
    for number, index in enumerate(indices):
        codes += [4] * (number % 2 == 0) + [index]
    codes.append(5)
    text = "".join(f"{code:03b}"[::-1] for code in codes)
    text += "0" * (-len(text) % 8)
    data = bytes(int(text[at:at + 8][::-1], 2) for at in range(0, len(text), 8))
    return b"\2" + bytes([len(data)]) + data + b"\0"


def gif(screen, frames, palette, background=0, version=b"GIF89a"):
    flags = 0xF1 if palette else 0x70
    file = version + struct.pack("<HHBBB", *screen, flags, background, 0) + (palette or b"")
    for left, top, width, height, transparent, local in frames:
        file += b"\x21\xf9\x04" + struct.pack("<BHB", transparent is not None, 5, transparent or 0) + b"\0"
        file += b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0x81 if local else 0) + (local or b"")
        file += lzw([(i * i + i // 3) % 4 for i in range(width * height)])
    return file + b";"


def bmp(height, bits, data, palette=b"", compression=0, masks=b"", header=40):
    if header == 12:
        head = struct.pack("<IHHHH", 12, WIDTH, height, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", header, WIDTH, height, 1, bits, compression, len(data), 2835, 2835, 0, 0)
        if header > 40:
            head, masks = (head + masks).ljust(header, b"\0"), b""
    start = 14 + len(head) + len(masks) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + masks + palette + data


def tiff(photometric, samples, depth, data, order="<", **more):
    tags = {256: [WIDTH], 257: [HEIGHT], 258: [depth] * samples, 259: [1], 262: [photometric], 273: [0], 277: [samples],
            278: [HEIGHT], 279: [len(data)], **{int(name[1:]): values for name, values in more.items()}}
    beside, place = b"", 8 + 2 + 12 * len(tags) + 4
    entries = {}
    for tag, values in sorted(tags.items()):
        raw = struct.pack(f"{order}{len(values)}H", *values)
        if len(raw) > 4:
            raw, beside = struct.pack(order + "I", place + len(beside)), beside + raw
        entries[tag] = struct.pack(order + "HHI", tag, 3, len(values)) + raw.ljust(4, b"\0")
    entries[273] = struct.pack(order + "HHII", 273, 4, 1, place + len(beside))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return head + b"".join(entries[tag] for tag in sorted(entries)) + struct.pack(order + "I", 0) + beside + data


def gifs():
    palette = rgb().quantize(16)
    save("gif-palette", palette, "GIF")
    save("gif-gray", rgb().convert("L"), "GIF")
    save("gif-two-colours", rgb().convert("1"), "GIF")
    save("gif-interlaced", palette, "GIF", interlace=1)
    save("gif-transparent", palette, "GIF", transparency=3)
    save("gif-alpha", rgba(), "GIF")
    save("gif-animated", palette, "GIF", save_all=True, append_images=[ImageOps.mirror(palette)], duration=50)
    colours = bytes([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 250])
    others = bytes([1, 2, 3, 99, 98, 97, 50, 60, 70, 7, 8, 9])
    FILES["gif-small-frame"] = gif((8, 6), [(2, 1, 4, 3, None, None)], colours, background=2)
    FILES["gif-small-frame-transparent"] = gif((8, 6), [(2, 1, 4, 3, 1, None)], colours, background=2)
    FILES["gif-small-frame-own-palette"] = gif((5, 4), [(1, 1, 3, 2, 2, others), (0, 0, 5, 4, None, None)], colours)
    FILES["gif-own-palette-only"] = gif((5, 4), [(0, 0, 5, 4, None, others)], None)
    FILES["gif-without-palette"] = gif((5, 4), [(0, 0, 5, 4, None, None)], None)
    FILES["gif-beyond-screen"] = gif((4, 4), [(2, 2, 4, 4, None, None)], colours)
    FILES["gif-87a"] = gif((5, 4), [(0, 0, 5, 4, None, None)], colours, version=b"GIF87a")
    FILES["gif-cut-short"] = FILES["gif-palette"][:-12]


def bmps():
    save("bmp-24", rgb(), "BMP")
    save("bmp-8", rgb().quantize(16), "BMP")
    save("bmp-gray", rgb().convert("L"), "BMP")
    save("bmp-1", rgb().convert("1"), "BMP")
    save("bmp-32", rgba(), "BMP")
    four = b"".join(bytes([i * 53 % 256, i * 91 % 256, i * 17 % 256, 0]) for i in range(16))
    padded = lambda rows: b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    FILES["bmp-4"] = bmp(HEIGHT, 4, padded(rows(4, 16)), four)
    FILES["bmp-1-colours"] = bmp(HEIGHT, 1, padded(rows(1, 2)), four[4:12])
    FILES["bmp-top-down"] = bmp(-HEIGHT, 8, padded(rows(8, 16)), four.ljust(1024, b"\0"))
    FILES["bmp-os2"] = bmp(HEIGHT, 4, padded(rows(4, 16)), b"".join(four[4 * i:4 * i + 3] for i in range(16)), header=12)
    wide = b"".join(struct.pack("<I", i * 97799123 % (1 << 32)) for i in range(WIDTH * HEIGHT))
    FILES["bmp-32-plain"] = bmp(HEIGHT, 32, wide)
    for name, masks in {"bgrx": (0xFF0000, 0xFF00, 0xFF, 0), "bgra": (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
                        "rgba": (0xFF000000, 0xFF0000, 0xFF00, 0xFF), "abgr": (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
                        "ten-bits": (0x3FF00000, 0xFFC00, 0x3FF, 0)}.items():
        FILES[f"bmp-32-{name}"] = bmp(HEIGHT, 32, wide, compression=3, masks=struct.pack("<IIII", *masks), header=124)
    narrow = padded([b"".join(struct.pack("<H", (x * 2741 + y * 977) % 65536) for x in range(WIDTH)) for y in range(HEIGHT)])
    FILES["bmp-16"] = bmp(HEIGHT, 16, narrow)
    FILES["bmp-16-565"] = bmp(HEIGHT, 16, narrow, compression=3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
    FILES["bmp-runs"] = bmp(HEIGHT, 8, b"".join(bytes([3, y, 4, y + 7, 0, 0]) for y in range(HEIGHT)) + b"\0\1", four.ljust(1024, b"\0"), compression=1)
    FILES["bmp-runs-too-few"] = bmp(HEIGHT, 8, bytes([4, 3, 0, 0, 6, 5, 0, 1]), four.ljust(1024, b"\0"), compression=1)
    FILES["bmp-cut-short"] = FILES["bmp-24"][:-20]


def tiffs():
    kinds = {"rgb": rgb(), "gray": rgb().convert("L"), "alpha": rgba(), "two-colours": rgb().convert("1"), "cmyk": rgb().convert("CMYK")}
    for name, image in kinds.items():
        for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
            save(f"tiff-{name}-{(compression or 'plain').replace('tiff_', '')}", image, "TIFF", **({"compression": compression} if compression else {}))
    save("tiff-fax", kinds["two-colours"], "TIFF", compression="group4")
    save("tiff-jpeg", rgb(), "TIFF", compression="jpeg")
    save("tiff-palette", rgb().quantize(16), "TIFF")
    save("tiff-gray-alpha", rgba().convert("LA"), "TIFF")
    save("tiff-lab", Image.frombytes("LAB", (WIDTH, HEIGHT), rgb().tobytes()), "TIFF")
    save("tiff-predictor", rgb(), "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    save("tiff-32-bits", rgb().convert("L").convert("I"), "TIFF")
    save("tiff-float", rgb().convert("L").convert("F"), "TIFF")
    save("tiff-gray-16", gray16(1871), "TIFF")
    save("tiff-gray-12-of-16", gray16(117), "TIFF")
    save("tiff-pages", rgb(), "TIFF", save_all=True, append_images=[rgb().convert("L")])
    save("tiff-big", rgb(), "TIFF", big_tiff=True)
    for turn in range(2, 9):
        save(f"tiff-turned-{turn}", rgb(), "TIFF", tiffinfo={274: turn})
    pixels, alpha = rgb().tobytes(), rgba().tobytes()
    sixteen = [i * 7919 % 65536 for i in range(WIDTH * HEIGHT * 3)]
    FILES["tiff-big-endian"] = tiff(2, 3, 8, pixels, ">")
    FILES["tiff-white-is-zero"] = tiff(0, 1, 8, kinds["gray"].tobytes())
    FILES["tiff-1-bit"] = tiff(1, 1, 1, b"".join(rows(1, 2)))
    FILES["tiff-1-bit-white-is-zero"] = tiff(0, 1, 1, b"".join(rows(1, 2)))
    FILES["tiff-4-bits"] = tiff(1, 1, 4, b"".join(rows(4, 16)))
    FILES["tiff-rgb-16"] = tiff(2, 3, 16, struct.pack(f"<{len(sixteen)}H", *sixteen))
    FILES["tiff-rgb-16-big-endian"] = tiff(2, 3, 16, struct.pack(f">{len(sixteen)}H", *sixteen), ">")
    FILES["tiff-padded"] = tiff(2, 4, 8, alpha, t338=[0])
    FILES["tiff-alpha-premultiplied"] = tiff(2, 4, 8, alpha, t338=[1])
    FILES["tiff-rgb-float"] = tiff(2, 3, 32, b"".join(struct.pack("<f", value / 255) for value in pixels), t339=[3] * 3)
    FILES["tiff-cut-short"] = FILES["tiff-big-endian"][:-30]


gifs()
bmps()
tiffs()
golden = {}
for name, file in sorted(FILES.items()):
    golden[name] = {"file": file.hex()}
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB")
        golden[name] |= {"size": image.size, "pixels": image.tobytes().hex()}
    except (OSError, ValueError):
        pass  # Pillow refuses it
print(json.dumps(golden, indent=0))
