//! Encodes pixels as JPEG, for writing shards.

use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use crate::{Error, Result, Rgb};

/// Encodes an image as a baseline JPEG with 4:2:0 chroma, `quality` from 1 to 100.
///
/// # Errors
/// [`Error::Encode`] with libjpeg-turbo's error, e.g. for sides above 65,500 pixels.
pub fn encode_jpeg(image: &Rgb, quality: u8) -> Result<Vec<u8>> {
    let encode = || {
        let mut compressor = Compressor::new()?;
        compressor.set_quality(quality.into())?;
        compressor.set_subsamp(Subsamp::Sub2x2)?;
        compressor.compress_to_vec(Image {
            pixels: &image.pixels[..],
            width: image.width as usize,
            pitch: image.stride(),
            height: image.height as usize,
            format: PixelFormat::RGB,
        })
    };
    encode().map_err(|source| Error::Encode { width: image.width, height: image.height, source })
}
