//! Images that are whole, rare, or damaged, and what has to come of them.

use pipeline::Rgb;

use dataset::Random;

use crate::encode::{
    bomb, claiming, cmyk, deep_png, jpeg, jpeg_claiming, picture, pixels_of, png, progressive, turned, webps,
    with_orientation,
};

/// What has to come of an image.
#[derive(Debug)]
pub(crate) enum Expected {
    /// These pixels.
    Pixels(Rgb),
    /// These pixels, or it is bad.
    PixelsOrBad(Rgb),
    Bad,
    /// Bad as a whole; views may show the rows that it has (`docs/exactness.md`).
    BadAsAWhole,
    /// Anything but a crash: the damage need not show.
    Anything,
}

use Expected::{Anything, Bad, BadAsAWhole, Pixels, PixelsOrBad};

/// One image.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) kind: &'static str,
    /// What the file is called, which may be wrong.
    pub(crate) extension: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
}

/// Draws an image: what it is called, its bytes, what has to come of it.
type Make = fn(&mut Random) -> (&'static str, Vec<u8>, Expected);

/// Every kind by its name.
pub(crate) const KINDS: [(&str, Make); 27] = [
    ("whole JPEG", |random| {
        let bytes = any_jpeg(random);
        let pixels = pixels_of(&bytes);
        ("jpg", bytes, Pixels(pixels))
    }),
    ("JPEG cut", |random| {
        let bytes = any_jpeg(random);
        ("jpg", cut(random, &bytes), Bad)
    }),
    ("JPEG with flipped bits", |random| {
        let bytes = any_jpeg(random);
        ("jpg", flipped(random, bytes), Anything)
    }),
    ("JPEG with bytes left out", |random| {
        let bytes = any_jpeg(random);
        ("jpg", gap(random, bytes), Anything)
    }),
    ("JPEG with bytes after its end", |random| {
        let mut bytes = any_jpeg(random);
        let pixels = pixels_of(&bytes);
        bytes.extend(noise(random));
        ("jpg", bytes, Pixels(pixels))
    }),
    ("JPEG that claims 65,500×65,500", |random| {
        ("jpg", jpeg_claiming(&any_jpeg(random), 65_500, 65_500), Bad)
    }),
    ("JPEG that claims more rows than it has", |random| {
        let image = any_picture(random);
        let bytes = jpeg(random, &image);
        ("jpg", jpeg_claiming(&bytes, image.width as u16, image.height as u16 + 100), BadAsAWhole)
    }),
    ("CMYK JPEG", |random| {
        let (width, height) = (side(random), side(random));
        let (bytes, pixels) = cmyk(random, width, height);
        ("jpg", bytes, Pixels(pixels))
    }),
    ("progressive JPEG", |random| {
        let bytes = any_jpeg(random);
        ("jpeg", progressive(&bytes), Pixels(pixels_of(&bytes)))
    }),
    ("progressive JPEG cut", |random| {
        let bytes = progressive(&any_jpeg(random));
        ("jpg", cut(random, &bytes), Bad)
    }),
    ("JPEG turned by EXIF", |random| {
        let (bytes, value) = (any_jpeg(random), 1 + random.below(8) as u8);
        ("jpg", with_orientation(&bytes, value), Pixels(turned(&pixels_of(&bytes), value)))
    }),
    ("JPEG with damaged EXIF", |random| {
        let bytes = any_jpeg(random);
        let mut damaged = with_orientation(&bytes, 6);
        damaged[12 + random.below(4)] ^= 0x80; // the mark of its byte order, without which nothing in it counts
        ("jpg", damaged, Pixels(pixels_of(&bytes)))
    }),
    ("one pixel", |random| {
        let image = picture(random, 1, 1);
        if random.below(2) == 0 {
            let bytes = jpeg(random, &image);
            let pixels = pixels_of(&bytes);
            return ("jpg", bytes, Pixels(pixels));
        }
        ("png", png(&image), Pixels(image))
    }),
    ("65,500 pixels wide", |random| {
        let height = random.pick(&[1, 2, 3, 20, 40]);
        let image = picture(random, 65_500, height);
        if random.below(2) == 0 {
            let bytes = jpeg(random, &image);
            let pixels = pixels_of(&bytes);
            return ("jpg", bytes, Pixels(pixels));
        }
        ("png", png(&image), Pixels(image))
    }),
    ("PNG called JPEG", |random| {
        let image = any_picture(random);
        ("jpg", png(&image), Pixels(image))
    }),
    ("JPEG called PNG", |random| {
        let bytes = any_jpeg(random);
        let pixels = pixels_of(&bytes);
        ("png", bytes, Pixels(pixels))
    }),
    ("16-bit PNG", |random| {
        let image = any_picture(random);
        ("png", deep_png(random, &image), Pixels(image))
    }),
    ("PNG cut", |random| {
        let image = any_picture(random);
        ("png", cut(random, &png(&image)), PixelsOrBad(image))
    }),
    ("PNG with flipped bits", |random| {
        let image = any_picture(random);
        ("png", flipped(random, png(&image)), PixelsOrBad(image))
    }),
    ("PNG with a damaged chunk", |random| {
        let image = any_picture(random);
        let bytes = png(&image);
        ("png", damaged_chunk(random, bytes), PixelsOrBad(image))
    }),
    ("PNG that claims a huge size", |random| {
        let image = any_picture(random);
        let side = [20_000, 65_500, 65_536, 1 << 31, u32::MAX][random.below(5)];
        ("png", claiming(&png(&image), side, side), Bad)
    }),
    ("PNG that unpacks to 100 MB", |_| ("png", bomb().to_vec(), Bad)),
    ("PNG that unpacks to more than it claims", |random| {
        let (width, height) = (side(random) as u32, side(random) as u32);
        ("png", claiming(bomb(), width, height), Anything)
    }),
    ("WebP", |random| {
        let (_, bytes, pixels) = &webps()[random.below(webps().len())];
        ("webp", bytes.clone(), Pixels(pixels.clone()))
    }),
    ("WebP cut", |random| {
        let (_, bytes, _) = &webps()[random.below(webps().len())];
        ("webp", cut(random, bytes), Bad)
    }),
    ("WebP with flipped bits", |random| {
        let (_, bytes, _) = &webps()[random.below(webps().len())];
        ("webp", flipped(random, bytes.clone()), Anything)
    }),
    ("no image at all", |random| {
        let page = "<!DOCTYPE html><html><body><h1>404 Not Found</h1></body></html>";
        let bytes = match random.below(7) {
            0 => Vec::new(),
            1 => page.into(),
            2 => [b"GIF89a\x01\0\x01\0\x80\0\0".to_vec(), noise(random)].concat(),
            3 => [b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec(), noise(random)].concat(),
            4 => noise(random).into_iter().map(|byte| byte & 0x7F).collect(),
            5 => vec![0; 1 + random.below(5_000)],
            // A webp of a huge canvas that holds nothing.
            _ => b"RIFF\x16\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF".to_vec(),
        };
        (random.pick(&["jpg", "png", "webp"]), bytes, Bad)
    }),
];

impl Case {
    /// Case `number`, of all kinds in turn.
    pub(crate) fn new(number: usize) -> Self {
        let mut random = Random::new(&[11, number as u64]);
        let (kind, make) = KINDS[number % KINDS.len()];
        let (extension, bytes, expected) = make(&mut random);
        Self { kind, extension, bytes, expected }
    }
}

fn side(random: &mut Random) -> usize {
    8 + random.below(120)
}

fn any_picture(random: &mut Random) -> Rgb {
    let (width, height) = (side(random) as u32, side(random) as u32);
    picture(random, width, height)
}

fn any_jpeg(random: &mut Random) -> Vec<u8> {
    let image = any_picture(random);
    jpeg(random, &image)
}

fn noise(random: &mut Random) -> Vec<u8> {
    let length = 1 + random.below(600);
    (0..length).map(|_| random.next_u64() as u8).collect()
}

/// Without its end, be it one byte.
fn cut(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    bytes[..random.below(bytes.len())].to_vec()
}

fn flipped(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
    bytes
}

fn gap(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    let start = random.below(bytes.len());
    let end = bytes.len().min(start + random.below(200) + 1);
    bytes.drain(start..end);
    bytes
}

/// A PNG one of whose chunks is missing, there twice, of a wrong length, name or checksum.
fn damaged_chunk(random: &mut Random, mut png: Vec<u8>) -> Vec<u8> {
    let mut chunks = Vec::new();
    let mut at = 8;
    while at < png.len() {
        let length = u32::from_be_bytes(*png[at..].first_chunk().unwrap()) as usize + 12;
        chunks.push(at..at + length);
        at += length;
    }
    let chunk = chunks[random.below(chunks.len())].clone();
    match random.below(5) {
        0 => drop(png.drain(chunk)),
        1 => {
            let twice = png[chunk.clone()].to_vec();
            png.splice(chunk.end..chunk.end, twice);
        }
        2 => png[chunk.start + random.below(4)] ^= 1 << random.below(8),
        3 => png[chunk.start + 4 + random.below(4)] ^= 1 << random.below(8),
        _ => png[chunk.end - 1 - random.below(4)] ^= 1 << random.below(8),
    }
    png
}
