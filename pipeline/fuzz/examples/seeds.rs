//! Writes the seeds of `jpeg_differential`: a small file of each kind that the decoder supports.
//!
//! ```sh
//! cargo run --example seeds
//! ```

use std::{fs, path::Path};

use pipeline::{Rgb, jpeg::Sampling};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

const KINDS: [(&str, Sampling, Subsamp); 5] = [
    ("gray", Sampling::Gray, Subsamp::Gray),
    ("444", Sampling::Full, Subsamp::None),
    ("422", Sampling::HalfWidth, Subsamp::Sub2x1),
    ("440", Sampling::HalfHeight, Subsamp::Sub1x2),
    ("420", Sampling::Quarter, Subsamp::Sub2x2),
];

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/jpeg_differential");
    fs::create_dir_all(&folder).expect("the folder can be created");
    let write = |name: String, file: Vec<u8>| fs::write(folder.join(name), file).expect("the folder is writable");
    for (kind, sampling, subsamp) in KINDS {
        write(format!("{kind}.jpg"), encoded(subsamp, false));
        write(format!("{kind}-optimized.jpg"), encoded(subsamp, true));
        write(format!("{kind}-restart.jpg"), pipeline_fuzz::with_restarts(sampling));
    }
}

/// Encodes a picture of waves with libjpeg-turbo.
fn encoded(subsamp: Subsamp, is_optimized: bool) -> Vec<u8> {
    let (width, height) = (27, 19);
    let mut image = Rgb::black(width as u32, height as u32);
    for (i, value) in image.pixels.iter_mut().enumerate() {
        *value = (i * i / 50) as u8;
    }
    let mut compressor = Compressor::new().expect("libjpeg-turbo can be initialized");
    compressor.set_subsamp(subsamp).expect("the sampling is valid");
    compressor.set_quality(40).expect("the quality is valid");
    compressor.set_optimize(is_optimized).expect("optimizing is possible");
    let image = Image { pixels: &image.pixels[..], width, pitch: 3 * width, height, format: PixelFormat::RGB };
    compressor.compress_to_vec(image).expect("a picture can be compressed")
}
