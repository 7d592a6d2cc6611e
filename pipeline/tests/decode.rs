//! Decoding of images of all kinds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Cursor;

use common::picture;
use image::{DynamicImage, ImageBuffer, ImageFormat};
use pipeline::{DecodeMode, Decoder, Error, Oddity, Preset, Renderer, Rgb, SampleSeed, decode, encode_jpeg};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

const LIMIT: u64 = 1_000_000;

fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Encodes a JPEG with another set-up of the compressor.
fn jpeg(
    image: &Rgb,
    format: PixelFormat,
    set: impl FnOnce(&mut Compressor) -> turbojpeg::Result<()>,
) -> Vec<u8> {
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(95).unwrap();
    set(&mut compressor).unwrap();
    let (width, height) = (image.width as usize, image.height as usize);
    let pitch = width * format.size();
    let pixels = &image.pixels[..pitch * height];
    compressor.compress_to_vec(Image { pixels, width, pitch, height, format }).unwrap()
}

fn mean_difference(a: &Rgb, b: &Rgb) -> f64 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let sum: u64 = a.pixels.iter().zip(&b.pixels).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.pixels.len() as f64
}

fn smooth() -> Rgb {
    let mut image = Rgb::black(61, 47);
    for (i, value) in image.pixels.iter_mut().enumerate() {
        *value = (i / 3 % 61 * 2 + i / 183 + i % 3 * 40) as u8;
    }
    image
}

#[test]
fn a_jpeg_comes_back_nearly_as_it_was() {
    let image = smooth();
    assert!(mean_difference(&decode(&encode_jpeg(&image, 95).unwrap(), LIMIT).unwrap(), &image) < 1.5);
}

#[test]
fn a_progressive_jpeg_has_the_pixels_of_the_baseline_one() {
    let image = smooth();
    let baseline = jpeg(&image, PixelFormat::RGB, |_| Ok(()));
    let progressive = jpeg(&image, PixelFormat::RGB, |compressor| compressor.set_progressive(true));
    assert_ne!(baseline, progressive);
    assert_eq!(decode(&baseline, LIMIT).unwrap(), decode(&progressive, LIMIT).unwrap());
}

#[test]
fn a_grayscale_jpeg_has_three_equal_channels() {
    let gray = jpeg(&smooth(), PixelFormat::GRAY, |compressor| compressor.set_subsamp(Subsamp::Gray));
    let image = decode(&gray, LIMIT).unwrap();
    assert!(image.pixels.chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    assert!(image.pixels.iter().any(|value| *value > 100));
}

#[test]
fn a_lossless_jpeg_has_exactly_the_pixels() {
    let image = smooth();
    let lossless = |compressor: &mut Compressor| compressor.set_lossless(true);
    assert!(decode(&jpeg(&image, PixelFormat::RGB, lossless), LIMIT).unwrap() == image);
    let gray = decode(&jpeg(&image, PixelFormat::GRAY, lossless), LIMIT).unwrap();
    let expected = image.pixels.iter().take(gray.pixels.len() / 3);
    assert!(gray.pixels.chunks(3).zip(expected).all(|(pixel, value)| *pixel == [*value; 3]));
}

#[test]
fn a_jpeg_of_a_kind_that_pillow_refuses_too_is_distinguished_from_a_damaged_one() {
    let file = encode_jpeg(&smooth(), 90).unwrap();
    let frame = file.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    let changed = |at: usize, byte: u8| {
        let mut file = file.clone();
        file[frame + at] = byte;
        decode(&file, u64::MAX).map(|_| ()).unwrap_err().to_string()
    };
    let prefix = "is a JPEG of a kind that is not decoded: ";
    assert_eq!(changed(4, 12), format!("{prefix}its samples have more or fewer than 8 bits"));
    assert_eq!(changed(1, 0xC5), format!("{prefix}Unsupported JPEG process: SOF type 0xc5"));
    let mut wide = file.clone();
    wide[frame + 7..frame + 9].fill(0xFF);
    let error = decode(&wide, u64::MAX).unwrap_err().to_string();
    assert_eq!(error, format!("{prefix}Maximum supported image dimension is 65500 pixels"));
    assert!(changed(3, 16).starts_with("is a damaged JPEG: "));
}

#[test]
fn a_cmyk_jpeg_is_converted_as_pillow_does() {
    let image = decode(include_bytes!("data/cmyk.jpg"), LIMIT).unwrap();
    assert_eq!(image, decode(include_bytes!("data/cmyk.png"), LIMIT).unwrap());
}

#[test]
fn a_png_is_exact_and_loses_its_alpha() {
    let image = picture(31, 17, 2);
    let rgba = ImageBuffer::from_fn(31, 17, |x, y| {
        let at = 3 * (y * 31 + x) as usize;
        image::Rgba([image.pixels[at], image.pixels[at + 1], image.pixels[at + 2], (x * 8) as u8])
    });
    assert_eq!(decode(&png(rgba), LIMIT).unwrap(), image);
}

#[test]
fn the_upper_half_of_16_bits_counts() {
    let rgb = ImageBuffer::from_pixel(2, 1, image::Rgb([0x12FFu16, 0x3400, 0xFFFF]));
    assert_eq!(decode(&png(rgb), LIMIT).unwrap().pixels, [0x12, 0x34, 0xFF, 0x12, 0x34, 0xFF]);
    let gray = ImageBuffer::from_pixel(1, 1, image::LumaA([0x80FFu16, 7]));
    assert_eq!(decode(&png(gray), LIMIT).unwrap().pixels, [0x80; 3]);
}

#[test]
fn a_palette_is_looked_up() {
    // 2×1 pixels of one bit each: 0 is (1, 2, 3), 1 is (250, 0, 7).
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [
        (b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 1, 3, 0, 0, 0][..]),
        (b"PLTE", &[1, 2, 3, 250, 0, 7]),
        // A stored deflate block: filter 0, bits 01.
        (b"IDAT", &[0x78, 1, 1, 2, 0, 0xFD, 0xFF, 0, 0x40, 0, 0x42, 0, 0x41]),
        (b"IEND", &[]),
    ] {
        bytes.extend((data.len() as u32).to_be_bytes());
        let start = bytes.len();
        bytes.extend(kind);
        bytes.extend(data);
        bytes.extend(crc32(&bytes[start..]).to_be_bytes());
    }
    assert_eq!(decode(&bytes, LIMIT).unwrap().pixels, [1, 2, 3, 250, 0, 7]);
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn a_file_cut_short_is_an_error_wherever_it_ends() {
    let image = picture(200, 150, 1);
    let opaque = ImageBuffer::<image::Rgb<u8>, _>::from_raw(200, 150, image.pixels.clone()).unwrap();
    for whole in [encode_jpeg(&image, 90).unwrap(), png(opaque)] {
        assert!(decode(&whole, LIMIT).is_ok());
        for percent in [1, 10, 50, 90, 98] {
            let cut = &whole[..whole.len() * percent / 100];
            assert!(
                matches!(decode(cut, LIMIT), Err(Error::Jpeg(_) | Error::Png(_) | Error::Format(_))),
                "{percent} %"
            );
        }
    }
}

#[test]
fn a_huge_header_is_refused_before_memory_is_allocated() {
    let mut bytes = encode_jpeg(&picture(16, 16, 0), 90).unwrap();
    let header = bytes.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    bytes[header + 5..header + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    let error = decode(&bytes, LIMIT).unwrap_err();
    assert!(matches!(error, Error::TooLarge { width: 65_500, height: 65_500, limit: LIMIT }), "{error}");
    assert!(matches!(
        decode(&encode_jpeg(&picture(16, 16, 0), 90).unwrap(), 255),
        Err(Error::TooLarge { .. })
    ));
}

fn long(width: u32, height: u32) -> (Rgb, Vec<u8>) {
    let image = picture(width, height, 3);
    let file = ImageBuffer::<image::Rgb<u8>, _>::from_raw(width, height, image.pixels.clone()).unwrap();
    (image, png(file))
}

#[test]
fn a_side_may_be_longer_than_that_of_any_jpeg_up_to_a_limit() {
    const LIMIT: u64 = 100_000_000;
    for (width, height) in [(65_536, 10), (2, 90_000), (1 << 20, 1)] {
        let (image, file) = long(width, height);
        assert!(decode(&file, LIMIT).unwrap() == image, "{width}×{height}");
        let mut renderer = Renderer::new(Preset::In128.recipe(), DecodeMode::Exact, LIMIT);
        renderer.decode(&file, SampleSeed { seed: 1, epoch: 0, index: 0 }).unwrap();
        renderer.render(&mut vec![0; Preset::In128.recipe().bytes()]);
    }
    let (_, file) = long(1, (1 << 20) + 1);
    let error = decode(&file, LIMIT).unwrap_err().to_string();
    assert_eq!(error, "has 1×1048577 pixels, with a side above the limit of 1048576");
    let error = decode(&long(65_536, 10).1, 1_000).unwrap_err().to_string();
    assert_eq!(error, "has 65536×10 pixels, above the limit of 1000 in all");
}

#[test]
fn an_image_too_thin_for_the_evaluation_recipe_is_reported_as_such() {
    let recipe = Preset::In128.evaluation();
    let mut renderer = Renderer::new(recipe, DecodeMode::Exact, LIMIT);
    let mut decode = |width, height| {
        renderer
            .decode(&long(width, height).1, SampleSeed { seed: 1, epoch: 0, index: 0 })
            .map_err(|error| error.to_string())
    };
    assert_eq!(decode(196, 1), Ok(()));
    assert_eq!(decode(1, 196), Ok(()));
    let error = decode(2, 400).unwrap_err();
    assert!(
        error.contains("is 2×400, too thin for this recipe") && error.contains("and would have 29200"),
        "{error}"
    );
}

#[test]
fn a_png_that_only_lacks_its_end_is_read_as_by_pillow() {
    let (image, whole) = long(40, 30);
    let mut decoder = Decoder::new(LIMIT);
    let mut decoded = Rgb::default();
    for missing in 0..=12 {
        decoder.decode(&whole[..whole.len() - missing], &mut decoded).unwrap();
        assert!(decoded == image, "{missing} bytes");
        let oddities: Vec<_> = decoder.oddities().iter().collect();
        assert_eq!(oddities, if missing > 4 { &[Oddity::NoEnd][..] } else { &[] }, "{missing} bytes");
    }
    assert!(decoder.decode(&whole[..whole.len() - 13], &mut decoded).is_err());
    assert!(decoder.decode(&whole[..whole.len() / 2], &mut decoded).is_err());
}

#[test]
fn the_format_is_recognized_by_the_bytes() {
    assert!(matches!(decode(b"", LIMIT), Err(Error::NoImage)));
    let gif = decode(b"GIF89a", LIMIT).unwrap_err().to_string();
    assert_eq!(gif, "is a GIF image, neither a JPEG, nor a PNG, nor a WebP");
    assert!(matches!(decode(&[0xFF, 0xD8, 0xFF], LIMIT), Err(Error::Jpeg(_))));
}

#[test]
fn a_damaged_jpeg_leaves_no_trace_in_the_next_one() {
    let image = smooth();
    let good = encode_jpeg(&image, 95).unwrap();
    let expected = decode(&good, LIMIT).unwrap();
    // Damages the length of each header segment in turn: libjpeg-turbo gives up in the middle of it.
    let mut segment = 2;
    let mut damaged = 0;
    while good[segment + 1] != 0xDA {
        let mut bad = good.clone();
        bad[segment + 3] ^= 0x55;
        let mut decoder = Decoder::new(LIMIT);
        let mut decoded = Rgb::default();
        damaged += usize::from(decoder.decode(&bad, &mut decoded).is_err());
        decoder.decode(&good, &mut decoded).unwrap();
        assert!(decoded == expected, "after damage at byte {segment}");
        segment += 2 + usize::from(u16::from_be_bytes([good[segment + 2], good[segment + 3]]));
    }
    assert!(damaged >= 3, "only {damaged} segments were damaged for the decoder");
}

#[test]
fn a_jpeg_without_tables_is_not_decoded_with_those_of_the_previous_image() {
    let whole = encode_jpeg(&picture(40, 30, 0), 90).unwrap();
    let without = |marker: u8| {
        let at = whole.windows(2).position(|bytes| bytes == [0xFF, marker]).unwrap();
        let length = 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
        [&whole[..at], &whole[at + length..]].concat()
    };
    let mut decoder = Decoder::new(LIMIT);
    let mut image = Rgb::default();
    for damaged in [without(0xDB), without(0xC4)] {
        let alone = decode(&damaged, LIMIT).ok();
        decoder.decode(&whole, &mut image).unwrap();
        let after = decoder.decode(&damaged, &mut image).ok().map(|()| image.clone());
        assert!(after == alone);
    }
}
