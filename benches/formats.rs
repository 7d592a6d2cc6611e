//! The cost of decoding PNGs and WebPs with the libraries that we use and with others, and of turning an
//! image upright.
//!
//! `cargo bench -p pipeline --bench formats`

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, codecs::png};
use pipeline::{Decoder, Orientation, Rgb};
use zune_core::{bytestream::ZCursor, options::DecoderOptions};
use zune_png::PngDecoder;

use common::{Table, measure};

mod common;
mod photos;

const PHOTOS: u64 = 6;

fn main() {
    let photos: Vec<Rgb> = (0..PHOTOS).map(|seed| photos::photo(500, 375, seed)).collect();
    let of_images = |to_image: fn(&Rgb) -> DynamicImage| -> Vec<Vec<u8>> {
        photos.iter().map(|photo| to_png(&to_image(photo))).collect()
    };
    let of_webp =
        |is_lossless| -> Vec<Vec<u8>> { photos.iter().map(|photo| to_webp(photo, is_lossless)).collect() };
    let mut table = Table::new("formats: images of 500×375 pixels to RGB, one thread");
    pngs(&mut table, "PNG, RGB", &of_images(to_image));
    pngs(&mut table, "PNG, RGBA", &of_images(|photo| to_image(photo).into_rgba8().into()));
    pngs(&mut table, "PNG, gray", &of_images(|photo| to_image(photo).into_luma8().into()));
    pngs(&mut table, "PNG, 16 bits", &of_images(|photo| to_image(photo).into_rgb16().into()));
    webps(&mut table, "WebP, lossy", &of_webp(false));
    webps(&mut table, "WebP, lossless", &of_webp(true));
    turns(&mut table, &photos[0]);
}

fn pngs(table: &mut Table, kind: &str, images: &[Vec<u8>]) {
    ours(table, kind, images);
    let mut pixels = vec![0; 500 * 375 * 8];
    per_image(table, "  `image`", images, |bytes| {
        let decoded = image::load_from_memory_with_format(bytes, ImageFormat::Png);
        std::hint::black_box(decoded.expect("a photo decodes").into_rgb8());
    });
    per_image(table, "  `zune-png`, with alpha", images, |bytes| {
        let options = DecoderOptions::default().png_set_strip_to_8bit(true);
        let mut decoder = PngDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().expect("a photo decodes");
        let size = decoder.output_buffer_size().expect("the headers are decoded");
        decoder.decode_into(&mut pixels[..size]).expect("a photo decodes");
    });
}

fn webps(table: &mut Table, kind: &str, images: &[Vec<u8>]) {
    ours(table, kind, images);
    let mut pixels = vec![0; 500 * 375 * 4];
    per_image(table, "  `image-webp`", images, |bytes| {
        let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).expect("a photo decodes");
        let size = decoder.output_buffer_size().expect("a photo has a size");
        decoder.read_image(&mut pixels[..size]).expect("a photo decodes");
    });
}

fn ours(table: &mut Table, kind: &str, images: &[Vec<u8>]) {
    let bytes: usize = images.iter().map(Vec::len).sum();
    table.row(&format!("{kind}: mean size"), bytes as f64 / images.len() as f64 / 1e3, "KB");
    let mut decoder = Decoder::new(u64::MAX);
    let mut image = Rgb::default();
    per_image(table, "  ours", images, |bytes| decoder.decode(bytes, &mut image).expect("a photo decodes"));
    per_image(table, "  ours, only the header", images, |bytes| {
        std::hint::black_box(decoder.header(bytes).expect("a photo has a header"));
    });
}

fn turns(table: &mut Table, photo: &Rgb) {
    let mut spare = Rgb::default();
    for (value, orientation) in (1..).zip(Orientation::ALL).skip(1) {
        let mut image = photo.clone();
        per_image(table, &format!("turned upright, value {value}"), &[Vec::new()], |_| {
            orientation.turn(&mut image, &mut spare);
        });
    }
}

fn per_image(table: &mut Table, name: &str, images: &[Vec<u8>], mut work: impl FnMut(&[u8])) {
    let time = measure(7, || images.iter().for_each(|bytes| work(bytes)));
    table.row(name, time.thread_s / images.len() as f64 * 1e6, "µs CPU/image");
}

fn to_image(photo: &Rgb) -> DynamicImage {
    let image = ImageBuffer::from_raw(photo.width, photo.height, photo.pixels.clone());
    DynamicImage::ImageRgb8(image.expect("a photo has all its pixels"))
}

/// Encodes a PNG with adaptive filters, as most programs do.
fn to_png(image: &DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = png::PngEncoder::new_with_quality(
        &mut bytes,
        png::CompressionType::Default,
        png::FilterType::Adaptive,
    );
    image.write_with_encoder(encoder).expect("a photo encodes");
    bytes
}

/// Encodes a WebP with libwebp.
#[expect(unsafe_code, reason = "libwebp has no maintained safe bindings")]
fn to_webp(photo: &Rgb, is_lossless: bool) -> Vec<u8> {
    let (width, height, stride) = (photo.width as i32, photo.height as i32, photo.stride() as i32);
    let (pixels, mut encoded) = (photo.pixels.as_ptr(), std::ptr::null_mut());
    // SAFETY: libwebp reads `height` rows of `stride` bytes, which is the size of the photo's pixels. It allocates `size` bytes,
    // which are copied before they are freed.
    unsafe {
        let size = if is_lossless {
            libwebp_sys::WebPEncodeLosslessRGB(pixels, width, height, stride, &raw mut encoded)
        } else {
            libwebp_sys::WebPEncodeRGB(pixels, width, height, stride, 80.0, &raw mut encoded)
        };
        assert!(size > 0, "a photo encodes");
        let bytes = std::slice::from_raw_parts(encoded, size).to_vec();
        libwebp_sys::WebPFree(encoded.cast());
        bytes
    }
}
