//! The cost of decoding a JPEG of ImageNet's size.
//!
//! `cargo bench -p pipeline --bench decode`

use image::ImageFormat;
use pipeline::{Decoder, Rgb, jpeg};

use common::{Table, measure};

mod common;
mod photos;

const PHOTOS: u64 = 40;

fn main() {
    let photos = photos::photos(PHOTOS);
    let bytes: usize = photos.iter().map(Vec::len).sum();
    let mut table = Table::new("decode: JPEGs of 500×375 pixels to RGB, one thread");
    table.row("mean size", bytes as f64 / PHOTOS as f64 / 1e3, "KB");
    let mut per_image = |name: &str, work: &mut dyn FnMut(&[u8])| {
        let time = measure(7, || photos.iter().for_each(|photo| work(photo)));
        table.row(name, time.thread_s / PHOTOS as f64 * 1e6, "µs CPU/image");
    };
    let mut decoder = Decoder::new(u64::MAX);
    let mut image = Rgb::default();
    per_image("libjpeg-turbo, memory reused (as in the loader)", &mut |photo| {
        decoder.decode(photo, &mut image).expect("a photo decodes");
    });
    let mut own = jpeg::Decoder::default();
    per_image("our own: planes of the whole image", &mut |photo| {
        let header = jpeg::Header::parse(photo).expect("a photo has a header");
        own.decode(&header, header.whole()).expect("a photo decodes");
    });
    per_image("our own: planes of 400×330 pixels in the middle", &mut |photo| {
        let header = jpeg::Header::parse(photo).expect("a photo has a header");
        let region = jpeg::Region { left: 50, top: 22, width: 400, height: 330 };
        own.decode(&header, region).expect("a photo decodes");
    });
    per_image("libjpeg-turbo, memory allocated for each image", &mut |photo| {
        std::hint::black_box(pipeline::decode(photo, u64::MAX).expect("a photo decodes"));
    });
    per_image("`image`", &mut |photo| {
        let decoded = image::load_from_memory_with_format(photo, ImageFormat::Jpeg);
        std::hint::black_box(decoded.expect("a photo decodes"));
    });
}
