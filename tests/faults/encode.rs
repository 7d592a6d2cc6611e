//! Pictures and the files that hold them.

use std::{fs, path::Path, sync::OnceLock};

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use pipeline::Rgb;
use turbojpeg::{Colorspace, Compressor, Image, PixelFormat, Subsamp, Transform};

use dataset::Random;

/// A smooth picture with some noise: one row, shifted more and more.
pub(crate) fn picture(random: &mut Random, width: u32, height: u32) -> Rgb {
    let mut image = Rgb::black(width, height);
    let [a, b, c] = [(); 3].map(|()| 1 + random.below(9));
    let wave = |at: usize| (at / 3 * a + at % 3 * 31 * c) % 256;
    let row = 3 * width as usize;
    let first: Vec<u8> = (0..row).map(|at| (wave(at) as u8).saturating_add(random.below(8) as u8)).collect();
    for (y, out) in image.pixels.chunks_exact_mut(row).enumerate() {
        out.copy_from_slice(&first);
        out.rotate_left(3 * b * y % row);
    }
    image
}

/// A JPEG of any subsampling and quality.
pub(crate) fn jpeg(random: &mut Random, image: &Rgb) -> Vec<u8> {
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(60 + random.below(40) as i32).unwrap();
    let subsampling = [Subsamp::Sub2x2, Subsamp::Sub2x1, Subsamp::None, Subsamp::Gray, Subsamp::Sub1x2];
    compressor.set_subsamp(random.pick(&subsampling)).unwrap();
    let (width, height) = (image.width as usize, image.height as usize);
    let pixels = &image.pixels[..];
    compressor
        .compress_to_vec(Image { pixels, width, pitch: 3 * width, height, format: PixelFormat::RGB })
        .unwrap()
}

/// What libjpeg-turbo makes of a JPEG.
pub(crate) fn pixels_of(jpeg: &[u8]) -> Rgb {
    let Image { pixels, width, height, .. } = turbojpeg::decompress(jpeg, PixelFormat::RGB).unwrap();
    Rgb { width: width as u32, height: height as u32, pixels }
}

/// The same coefficients in progressive scans.
pub(crate) fn progressive(jpeg: &[u8]) -> Vec<u8> {
    let mut transform = Transform::default();
    transform.progressive = true;
    turbojpeg::transform(&transform, jpeg).unwrap().to_vec()
}

/// A CMYK JPEG of any inks, and its pixels: of inks that are stored inverted, as Pillow shows them.
pub(crate) fn cmyk(random: &mut Random, width: usize, height: usize) -> (Vec<u8>, Rgb) {
    let phase = random.below(256);
    let inks: Vec<u8> =
        (0..4 * width * height).map(|at| ((at / 4 * (1 + at % 4) + phase) % 256) as u8).collect();
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(90).unwrap();
    compressor.set_subsamp(Subsamp::None).unwrap();
    compressor.set_colorspace(random.pick(&[Colorspace::CMYK, Colorspace::YCCK])).unwrap();
    let image = Image { pixels: &inks[..], width, pitch: 4 * width, height, format: PixelFormat::CMYK };
    let jpeg = compressor.compress_to_vec(image).unwrap();
    let decoded = turbojpeg::decompress(&jpeg, PixelFormat::CMYK).unwrap().pixels;
    let light = |ink: u8, key: u8| {
        let product = u32::from(255 - ink) * u32::from(key) + 128;
        (u32::from(key) - (product + (product >> 8)).div_euclid(256)) as u8
    };
    let pixels = decoded.chunks(4).flat_map(|inks| [0, 1, 2].map(|i| light(inks[i], inks[3]))).collect();
    (jpeg, Rgb { width: width as u32, height: height as u32, pixels })
}

/// A JPEG with EXIF data that tells an orientation.
pub(crate) fn with_orientation(jpeg: &[u8], value: u8) -> Vec<u8> {
    let mut exif = b"\xFF\xE1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([value, 0, 0, 0, 0, 0, 0, 0]);
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

/// A picture turned as EXIF's value says, by where each of its pixels comes from.
pub(crate) fn turned(image: &Rgb, value: u8) -> Rgb {
    let (w, h) = (image.width, image.height);
    let (width, height) = if value > 4 { (h, w) } else { (w, h) };
    let mut turned = Rgb::black(width, height);
    for y in 0..height {
        for x in 0..width {
            let (from_x, from_y) = match value {
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (y, h - 1 - x),
                7 => (w - 1 - y, h - 1 - x),
                8 => (w - 1 - y, x),
                _ => (x, y),
            };
            let (to, from) = (3 * (y * width + x) as usize, 3 * (from_y * w + from_x) as usize);
            turned.pixels[to..to + 3].copy_from_slice(&image.pixels[from..from + 3]);
        }
    }
    turned
}

pub(crate) fn png(image: &Rgb) -> Vec<u8> {
    encode_png(&image.pixels, image.width, image.height, ExtendedColorType::Rgb8)
}

/// A PNG of 16 bits a channel, the upper eight of which are the picture's.
pub(crate) fn deep_png(random: &mut Random, image: &Rgb) -> Vec<u8> {
    // Samples are in the machine's order of bytes.
    let samples = image.pixels.iter().map(|&upper| u16::from(upper) << 8 | random.below(256) as u16);
    let bytes: Vec<u8> = samples.flat_map(u16::to_ne_bytes).collect();
    encode_png(&bytes, image.width, image.height, ExtendedColorType::Rgb16)
}

fn encode_png(bytes: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(bytes, width, height, color).unwrap();
    png
}

/// 100 KB of PNG that unpack to 100 MB of black: just above the program's limit on pixels.
pub(crate) fn bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    const SIDE: u32 = 10_001;
    BOMB.get_or_init(|| encode_png(&vec![0; (SIDE * SIDE) as usize], SIDE, SIDE, ExtendedColorType::L8))
}

/// The PNG with another width and height in its header, whose checksum is right.
pub(crate) fn claiming(png: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut png = png.to_vec();
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// The JPEG with another width and height in its frame's header.
pub(crate) fn jpeg_claiming(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let mut jpeg = jpeg.to_vec();
    let frame =
        jpeg.windows(4).position(|bytes| bytes == [0xFF, 0xC0, 0, 17] || bytes == [0xFF, 0xC0, 0, 11]);
    let frame = frame.expect("it is a baseline JPEG of three channels or one");
    jpeg[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

/// WebPs of all kinds that are kept for the pipeline's tests, with their pixels as Pillow shows them.
pub(crate) fn webps() -> &'static [(String, Vec<u8>, Rgb)] {
    static WEBPS: OnceLock<Vec<(String, Vec<u8>, Rgb)>> = OnceLock::new();
    WEBPS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipeline/tests/data/formats");
        let mut webps = Vec::new();
        for entry in fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if Path::new(&name).extension().is_some_and(|extension| extension == "webp") {
                let expected =
                    image::open(folder.join("expected").join(format!("{name}.png"))).unwrap().into_rgb8();
                let (width, height) = expected.dimensions();
                let pixels = Rgb { width, height, pixels: expected.into_raw() };
                webps.push((name.clone(), fs::read(folder.join(name)).unwrap(), pixels));
            }
        }
        webps.sort_by(|a, b| a.0.cmp(&b.0));
        assert!(webps.len() > 5);
        webps
    })
}
