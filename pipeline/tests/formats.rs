//! Images of all formats, compared with Pillow, and damaged ones.
//!
//! `data/make.py` makes the images.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use pipeline::{Decoder, Error, Orientation, Rgb, decode};

const LIMIT: u64 = 1_000_000;

/// Reads name, bytes and expected pixels of every image in `data/formats`.
fn golden() -> Vec<(String, Vec<u8>, Rgb)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats");
    let mut golden = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            let name = entry.file_name().into_string().unwrap();
            let expected = image::open(folder.join("expected").join(format!("{name}.png"))).unwrap();
            let expected = expected.as_rgb8().expect("the expected pixels are RGB");
            let (width, height) = expected.dimensions();
            let pixels = Rgb { width, height, pixels: expected.as_raw().clone() };
            golden.push((name, fs::read(entry.path()).unwrap(), pixels));
        }
    }
    golden.sort_by(|a, b| a.0.cmp(&b.0));
    golden
}

fn bytes_of(name: &str) -> Vec<u8> {
    golden().into_iter().find(|image| image.0 == name).unwrap().1
}

#[test]
fn every_image_has_pillows_pixels_even_from_a_used_decoder() {
    let mut decoder = Decoder::new(LIMIT);
    let mut image = Rgb::default();
    let mut differing = Vec::new();
    let golden = golden();
    for (name, bytes, expected) in golden.iter().chain(golden.iter().rev()) {
        match decoder.decode(bytes, &mut image) {
            Ok(()) if image == *expected => {}
            Ok(()) => {
                let wrong = image.pixels.iter().zip(&expected.pixels).filter(|(a, b)| a != b).count();
                differing.push(format!("{name}: {wrong} bytes of {}", expected.pixels.len()));
            }
            Err(error) => differing.push(format!("{name}: {error}")),
        }
    }
    assert!(golden.len() >= 60, "only {} images", golden.len());
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn the_header_gives_the_upright_size() {
    let decoder = Decoder::new(LIMIT);
    for (name, bytes, expected) in golden() {
        let header = decoder.header(&bytes).unwrap();
        assert_eq!(header.upright(), (expected.width, expected.height), "{name}");
    }
    for value in 1..=8 {
        let header = decoder.header(&bytes_of(&format!("orientation-{value}.jpg"))).unwrap();
        assert_eq!((header.width, header.height), (37, 23));
        assert_eq!(Some(header.orientation), Orientation::from_exif(value));
    }
}

#[test]
fn an_image_cut_short_anywhere_is_an_error_or_only_lacks_its_end() {
    let mut decoder = Decoder::new(LIMIT);
    let mut image = Rgb::default();
    for (name, bytes, expected) in golden() {
        for length in 0..bytes.len() {
            decoder.header(&bytes[..length]).ok();
            let decoded = decoder.decode(&bytes[..length], &mut image);
            let is_jpeg = name.ends_with("jpg");
            assert!(
                decoded.is_err() || !is_jpeg && image.pixels.len() == expected.pixels.len(),
                "{length} bytes of {name}"
            );
            if length < bytes.len() * 3 / 4 || name.ends_with("webp") {
                assert!(decoded.is_err() || name.contains("late"), "{length} bytes of {name}");
            }
        }
    }
}

#[test]
fn damage_of_any_byte_causes_no_panic() {
    let mut decoder = Decoder::new(LIMIT);
    let mut image = Rgb::default();
    for (name, mut bytes, _) in golden() {
        for at in 0..bytes.len() {
            for bits in [0x01, 0x80, 0xFF] {
                bytes[at] ^= bits;
                let header = decoder.header(&bytes);
                let decoded = decoder.decode(&bytes, &mut image);
                if let (Ok(header), Ok(())) = (header, decoded) {
                    assert_eq!(header.upright(), (image.width, image.height), "byte {at} of {name}");
                }
                bytes[at] ^= bits;
            }
        }
    }
}

#[test]
fn huge_headers_of_all_formats_are_refused_before_memory_is_allocated() {
    let mut png = bytes_of("rgb.png");
    png[16..24].copy_from_slice(&[0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF]);
    png.splice(29..33, crc32(&png[12..29]).to_be_bytes());
    let mut lossy = bytes_of("lossy.webp");
    assert_eq!(&lossy[12..16], b"VP8 ");
    lossy[26..30].copy_from_slice(&[0xFF, 0x3F, 0xFF, 0x3F]);
    let mut lossless = bytes_of("lossless.webp");
    assert_eq!(&lossless[12..16], b"VP8L");
    lossless[21..24].fill(0xFF);
    let mut animation = bytes_of("animation.webp");
    animation[24..30].copy_from_slice(&[0xFF, 0xFF, 0, 0xFF, 0xFF, 0]);
    let mut decoder = Decoder::new(LIMIT);
    for bytes in [png, lossy, lossless, animation] {
        let mut image = Rgb::default();
        for error in [decoder.header(&bytes).unwrap_err(), decoder.decode(&bytes, &mut image).unwrap_err()] {
            assert!(matches!(error, Error::TooLarge { .. }), "{error}");
        }
        assert_eq!(image.pixels.capacity(), 0);
    }
}

#[test]
fn damaged_exif_is_ignored() {
    let upright = decode(&bytes_of("orientation-1.jpg"), LIMIT).unwrap();
    let mut bytes = bytes_of("orientation-6.jpg");
    let tiff = bytes.windows(6).position(|window| window == b"Exif\0\0").unwrap() + 6;
    bytes[tiff + 4..tiff + 8].fill(0xFF);
    assert_eq!(decode(&bytes, LIMIT).unwrap(), upright);
    bytes[tiff..tiff + 4].copy_from_slice(b"what");
    assert_eq!(decode(&bytes, LIMIT).unwrap(), upright);
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}
