"""Makes `orientations.tsv`: files that tell their orientation in many ways, and what Pillow makes of each.

    python3 orientations.py      # with Pillow 12.3.0

A row is the file's name, the orientation that `ImageOps.exif_transpose` turns it by (1 to 8; 1 also where Pillow fails at
damaged EXIF), and the file in base64. Many are EXIF alone, in random forms, as `eXIf` of a PNG.
"""

import base64
import io
import random
import struct
import warnings
import zlib
from pathlib import Path

import PIL
from PIL import Image

assert PIL.__version__ == "12.3.0", PIL.__version__
warnings.simplefilter("ignore")
PIXELS = bytes([0, 50, 100, 150, 200, 250])


def picture():
    return Image.frombytes("L", (3, 2), PIXELS)


def encoded(form, **options):
    file = io.BytesIO()
    picture().save(file, form, **options)
    return file.getvalue()


JPEG = encoded("JPEG", quality=50)
JPEG = JPEG[:2] + JPEG[2 + 18 :]  # without JFIF, whose resolution would make a difference to damaged EXIF
PNG = encoded("PNG")
WEBP = encoded("WEBP", lossless=True)[12:]
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
FORMS = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q"}


def entry(order, tag, kind, count, value, far):
    """An entry, and the bytes that it points to, which begin at `far`."""
    if len(value) <= 4:
        return struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0"), b""
    return struct.pack(order + "HHII", tag, kind, count, far), value


def exif(*entries, order=">", head=None, prefix=b""):
    """EXIF of entries (tag, type, count, bytes)."""
    head = head or (b"MM\0*" if order == ">" else b"II*\0")
    directory, data = struct.pack(order + "H", len(entries)), b""
    for tag, kind, count, value in entries:
        far = 8 + 2 + 12 * len(entries) + 4 + len(data)
        one, more = entry(order, tag, kind, count, value, far)
        directory, data = directory + one, data + more
    return prefix + head + struct.pack(order + "I", 8) + directory + bytes(4) + data


def of(kind, *values, order=">"):
    """The orientation entry of a type."""
    if kind in FORMS:
        data = b"".join(struct.pack(order + FORMS[kind], value) for value in values)
    elif kind in (5, 10):
        data = b"".join(struct.pack(order + ("I" if kind == 5 else "i") * 2, *value) for value in values)
    else:
        data = bytes(values)
    return (274, kind, len(values), data)


def xmp(value, form="attribute"):
    text = {
        "attribute": f'<rdf:Description tiff:Orientation="{value}"/>',
        "element": f"<rdf:Description><tiff:Orientation>{value}</tiff:Orientation></rdf:Description>",
        "quoted": f"<rdf:Description tiff:Orientation='{value}'/>",
        "other": f'<rdf:Description exif:Orientation="{value}"/>',
    }[form]
    return f"<x:xmpmeta><rdf:RDF>{text}</rdf:RDF></x:xmpmeta>".encode()


def segment(marker, data):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def jpeg(*parts):
    return JPEG[:2] + b"".join(parts) + JPEG[2:]


def app1(data):
    return segment(0xE1, data)


def with_exif(data):
    return app1(b"Exif\0\0" + data)


def with_xmp(data):
    return app1(b"http://ns.adobe.com/xap/1.0/\0" + data)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks, late=()):
    end = PNG.index(b"IEND") - 4
    return PNG[:33] + b"".join(chunks) + PNG[33:end] + b"".join(late) + PNG[end:]


def raw_profile(data):
    return b"\nexif\n%8d\n" % len(data) + data.hex().encode() + b"\n"


def itxt(key, text, packed=False):
    value = zlib.compress(text) if packed else text
    return chunk(b"iTXt", key + b"\0" + bytes([packed, 0]) + b"\0\0" + value)


def ztxt(key, text):
    return chunk(b"zTXt", key + b"\0\0" + zlib.compress(text))


def text(key, value):
    return chunk(b"tEXt", key + b"\0" + value)


def webp(flags, *chunks):
    features = bytes([flags, 0, 0, 0, 2, 0, 0, 1, 0, 0])
    data = b"WEBP"
    for name, content in [(b"VP8X", features), *chunks]:
        data += name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        if name == b"VP8X":
            data += WEBP
    return b"RIFF" + struct.pack("<I", len(data)) + data


def exifs():
    """EXIF of every form, by name."""
    for order, word in ((">", "big"), ("<", "little")):
        for kind in FORMS:
            yield f"{word}-type-{kind}", exif(of(kind, 6, order=order), order=order)
        for kind in (5, 10):
            yield f"{word}-type-{kind}", exif(of(kind, (12, 2), order=order), order=order)
            yield f"{word}-type-{kind}-third", exif(of(kind, (13, 2), order=order), order=order)
            yield f"{word}-type-{kind}-by-zero", exif(of(kind, (6, 0), order=order), order=order)
        for kind in (1, 2, 7):
            yield f"{word}-type-{kind}", exif(of(kind, 6), order=order)
            yield f"{word}-type-{kind}-digit", exif(of(kind, 0x36, 0), order=order)
        for kind in (3, 4, 8, 12, 16):
            yield f"{word}-type-{kind}-two", exif(of(kind, 8, 3, order=order), order=order)
    for value in range(10):
        yield f"value-{value}", exif(of(3, value))
    for kind, value in ((8, -6), (6, -1), (9, 6 - 2**31), (11, 6.5), (12, 6.0000001), (4, 65542), (16, 2**32 + 6)):
        yield f"value-{value}-type-{kind}", exif(of(kind, value))
    yield "no-values", exif((274, 3, 0, b""))
    yield "three", exif(of(3, 6), of(3, 3), of(3, 8))
    yield "the-last-of-no-type", exif(of(3, 6), (274, 99, 1, b"\0\3"))
    yield "the-last-without-values", exif(of(3, 6), (274, 3, 0, b""))
    yield "no-orientation", exif((256, 3, 1, b"\0\6"))
    far = struct.pack(">HHII", 270, 2, 100, 5000)
    for name, entries in (("before", (far, 0)), ("behind", (0, far))):
        good = exif(of(3, 6))[10:22]
        directory = b"".join(good if part == 0 else part for part in entries)
        yield f"values-beyond-the-end-{name}", b"MM\0*\0\0\0\x08\0\2" + directory + bytes(4)
    yield "more-entries-than-there-are", exif(of(3, 6)).replace(b"\0\1\1\x12", b"\0\7\1\x12", 1)
    yield "directory-elsewhere", b"MM\0*\0\0\0\x10" + bytes(8) + exif(of(3, 6))[8:]
    yield "directory-beyond-the-end", b"MM\0*\0\0\1\0" + exif(of(3, 6))[8:]
    yield "directory-at-zero", b"MM\0*\0\0\0\0" + exif(of(3, 6))[8:]
    yield "no-next-directory", exif(of(3, 6))[:-4]
    for head, order in ((b"MM*\0", ">"), (b"II\0*", "<"), (b"MM\0+", ">"), (b"II+\0", "<"), (b"MM\0-", ">")):
        yield f"head-{head.hex()}", exif(of(3, 6, order=order), order=order, head=head)
    yield "bigtiff-big", b"MM\0+\0\x08\0\0" + struct.pack(">QQHHQ", 16, 1, 274, 3, 1) + b"\0\6" + bytes(14)
    yield "bigtiff-little", b"II+\0\x08\0\0\0" + struct.pack("<QQHHQ", 16, 1, 274, 3, 1) + b"\6\0" + bytes(14)
    for count in (1, 2, 3):
        yield f"prefix-{count}", exif(of(3, 6), prefix=b"Exif\0\0" * count)
    for length in (0, 1, 4, 7, 8, 9, 10, 15, 21):
        yield f"cut-{length}", exif(of(3, 6))[:length]


def random_exif(draw):
    """EXIF with entries of any type, some of which point to anywhere."""
    order = draw.choice("<>")
    entries = []
    for _ in range(draw.randint(1, 4)):
        tag, kind = draw.choice([274, 274, 282]), draw.choice([*SIZES, *SIZES, 3, 3, 0, 14, 99])
        count = draw.choice([0, 1, 1, 1, 1, 2, 3])
        length = SIZES.get(kind, 1) * count
        value = b"".join(draw.choice([b"\0", b"\0", bytes([draw.randint(0, 9)])]) for _ in range(length))
        entries.append((tag, kind, count, value))
    data = bytearray(exif(*entries, order=order, prefix=draw.choice([b"", b"", b"Exif\0\0"])))
    if draw.random() < 0.3:
        data[draw.randrange(len(data))] = draw.randint(0, 255)
    return bytes(data[: draw.choice([len(data)] * 5 + [draw.randint(0, len(data))])])


def files():
    six, three = exif(of(3, 6)), exif(of(3, 3))
    for name, data in exifs():
        yield f"{name}.png", png(chunk(b"eXIf", data))
    draw = random.Random(1)
    for number in range(200):
        yield f"random-{number}.png", png(chunk(b"eXIf", random_exif(draw)))
    for form in ("attribute", "element", "quoted", "other"):
        yield f"xmp-{form}.jpg", jpeg(with_xmp(xmp(6, form)))
        yield f"xmp-{form}.png", png(itxt(b"XML:com.adobe.xmp", xmp(6, form)))
        yield f"xmp-{form}.webp", webp(4, (b"XMP ", xmp(6, form)))
    for value in (0, 1, 5, 9, 36):
        yield f"xmp-{value}.jpg", jpeg(with_xmp(xmp(value)))
    yield "exif.jpg", jpeg(with_exif(six))
    yield "exif-before-xmp.jpg", jpeg(with_exif(six), with_xmp(xmp(3)))
    yield "xmp-before-exif.jpg", jpeg(with_xmp(xmp(3)), with_exif(six))
    yield "exif-upright-xmp.jpg", jpeg(with_exif(exif(of(3, 1))), with_xmp(xmp(3)))
    yield "exif-of-9-xmp.jpg", jpeg(with_exif(exif(of(3, 9))), with_xmp(xmp(3)))
    yield "exif-of-text-xmp.jpg", jpeg(with_exif(exif(of(2, 0x36, 0))), with_xmp(xmp(3)))
    yield "exif-without-orientation-xmp.jpg", jpeg(with_exif(exif((256, 3, 1, b"\0\6"))), with_xmp(xmp(3)))
    yield "exif-damaged-xmp.jpg", jpeg(with_exif(b"what is this"), with_xmp(xmp(3)))
    yield "exif-empty-xmp.jpg", jpeg(with_exif(b""), with_xmp(xmp(3)))
    yield "exif-twice.jpg", jpeg(with_exif(six), with_exif(three))
    yield "exif-in-two-parts.jpg", jpeg(with_exif(six[:15]), with_exif(six[15:]))
    yield "exif-empty-first.jpg", jpeg(with_exif(b""), with_exif(six))
    yield "exif-behind-another-app1.jpg", jpeg(app1(b"something else"), with_exif(six))
    yield "exif-in-app2.jpg", jpeg(segment(0xE2, b"Exif\0\0" + six))
    yield "exif-without-zeros.jpg", jpeg(app1(b"Exif" + six))
    yield "exif-behind-junk.jpg", jpeg(app1(b""), b"\0\1\xff\0\2", with_exif(six))
    yield "exif-behind-fill.jpg", jpeg(b"\xff\xff\xff", with_exif(six))
    yield "exif-behind-the-end.jpg", JPEG + with_exif(six)
    end = JPEG.index(b"\xff\xda")
    yield "exif-behind-the-frame.jpg", JPEG[:end] + with_exif(six) + JPEG[end:]
    yield "exif-in-a-thumbnail.jpg", jpeg(segment(0xE0, b"JFXX\0\x10" + jpeg(with_exif(six))[:200]))
    yield "tables-first.jpg", JPEG[:2] + b"\xff\xd9" + jpeg(with_exif(six))
    yield "xmp-twice.jpg", jpeg(with_xmp(xmp(6)), with_xmp(xmp(3)))
    yield "xmp-extended.jpg", jpeg(app1(b"http://ns.adobe.com/xmp/extension/\0" + xmp(6)))
    yield "xmp-within-exif.jpg", jpeg(with_exif(xmp(6)))
    key = b"XML:com.adobe.xmp"
    yield "xmp-packed.png", png(itxt(key, xmp(6), True))
    yield "xmp-damaged.png", png(chunk(b"iTXt", key + b"\0\1\0\0\0not packed"))
    yield "xmp-no-utf8.png", png(itxt(key, b"\xff\xfe" + xmp(6)))
    yield "xmp-then-no-utf8.png", png(itxt(key, xmp(6)), itxt(key, b"\xff" + xmp(3)))
    yield "xmp-empty-then-no-utf8.png", png(itxt(key, b""), itxt(key, b"\xff" + xmp(3)))
    yield "xmp-other-key.png", png(itxt(b"xml:com.adobe.xmp", xmp(6)))
    yield "xmp-text.png", png(text(key, xmp(6)))
    yield "xmp-ztxt.png", png(ztxt(key, xmp(6)))
    yield "xmp-late.png", png(late=[itxt(key, xmp(6))])
    yield "xmp-twice.png", png(itxt(key, xmp(6)), late=[itxt(key, xmp(3))])
    yield "xmp-raw-profile.png", png(ztxt(b"Raw profile type xmp", raw_profile(xmp(6))))
    yield "exif-and-xmp.png", png(itxt(key, xmp(3)), chunk(b"eXIf", six))
    yield "exif-twice.png", png(chunk(b"eXIf", six), chunk(b"eXIf", three))
    yield "exif-late.png", png(chunk(b"eXIf", six), late=[chunk(b"eXIf", three)])
    yield "exif-behind-the-end.png", png() + chunk(b"eXIf", six)
    yield "exif-text.png", png(text(b"exif", six))
    raw = b"Raw profile type exif"
    for name, make in (("text", text), ("ztxt", ztxt), ("itxt", itxt)):
        yield f"raw-{name}.png", png(make(raw, raw_profile(b"Exif\0\0" + six)))
    yield "raw-itxt-packed.png", png(itxt(raw, raw_profile(six), True))
    yield "raw-late.png", png(late=[ztxt(raw, raw_profile(six))])
    lines = raw_profile(b"Exif\0\0" + six)
    yield "raw-in-lines.png", png(text(raw, lines[:30] + b"\n" + lines[30:50] + b" \n" + lines[50:]))
    yield "raw-odd.png", png(text(raw, lines[:-2] + b"\n"))
    yield "raw-no-digits.png", png(text(raw, b"\nexif\n  20\nwhat is this?\n"))
    yield "raw-empty.png", png(text(raw, b""))
    yield "raw-damaged.png", png(chunk(b"zTXt", raw + b"\0\0not packed"), itxt(key, xmp(3)))
    yield "raw-cut.png", png(chunk(b"zTXt", raw + b"\0\0" + zlib.compress(lines)[:-4]))
    yield "raw-and-exif.png", png(text(raw, raw_profile(three)), chunk(b"eXIf", six))
    yield "raw-and-xmp.png", png(text(raw, raw_profile(six)), itxt(key, xmp(3)))
    yield "raw-app1.png", png(ztxt(b"Raw profile type APP1", raw_profile(b"Exif\0\0" + six)))
    yield "exif.webp", webp(8, (b"EXIF", six))
    yield "exif-with-prefix.webp", webp(8, (b"EXIF", b"Exif\0\0" + six))
    yield "exif-untold.webp", webp(0, (b"EXIF", six))
    yield "exif-twice.webp", webp(8, (b"EXIF", six), (b"EXIF", three))
    yield "exif-empty.webp", webp(12, (b"EXIF", b""), (b"XMP ", xmp(3)))
    yield "exif-and-xmp.webp", webp(12, (b"EXIF", six), (b"XMP ", xmp(3)))
    yield "xmp-untold.webp", webp(8, (b"XMP ", xmp(6)))
    yield "exif-without-orientation-xmp.webp", webp(12, (b"EXIF", exif((256, 3, 1, b"\0\6"))), (b"XMP ", xmp(3)))
    frame = lambda number: chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 3, 2, 0, 0, 1, 10, 0, 0))
    idat = PNG[PNG.index(b"IDAT") + 4 : PNG.index(b"IEND") - 8]
    more = [frame(1), chunk(b"fdAT", struct.pack(">I", 2) + idat)]
    yield "animation.png", png(chunk(b"acTL", struct.pack(">II", 2, 0)), frame(0), late=[*more, chunk(b"eXIf", six)])
    animated = chunk(b"acTL", struct.pack(">II", 2, 0))
    yield "animation-before.png", png(animated, frame(0), late=[chunk(b"eXIf", six), *more])


def turned(data):
    """What `exif_transpose` looks up; it may fail afterwards, at writing EXIF without it."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        try:
            value = image.getexif().get(274, 1)
        except (SyntaxError, ValueError, TypeError, struct.error):
            return 1
    return int(value) if value in range(2, 9) else 1


rows = [f"{name}\t{turned(data)}\t{base64.b64encode(data).decode()}\n" for name, data in files()]
Path(__file__).with_suffix(".tsv").write_text("".join(rows))
