//! Encoded bytes → upright RGB pixels; which decoder takes which file.
//!
//! JPEGs go to libjpeg-turbo, PNGs to `png`, WebPs to libwebp. The format is told from the first bytes: names lie.
//! Pixels are those of Pillow's `ImageOps.exif_transpose` and `convert("RGB")`: turned as EXIF or XMP says, alpha dropped,
//! grayscale replicated, palettes looked up, of 16 bits the upper eight (of grayscale as well, which Pillow would clip to
//! white), CMYK taken to be inverted, as Adobe writes it, and of an animation the first frame. Files cut short are
//! errors, not gray pixels, and so is what a decoder would have to make up; other oddities are noted. `docs/reference/forms.md`
//! has each form.

mod exif;
mod file_format;
mod header;
mod jpeg_header;
mod libjpeg;
mod limit;
mod metadata;
mod oddity;
mod orientation;
mod png;
mod png_metadata;
mod webp;

pub use file_format::FileFormat;
pub use header::Header;
pub use oddity::{Oddities, Oddity};
pub use orientation::Orientation;

use crate::{Error, Result, Rgb};
use libjpeg::Libjpeg;
use limit::Limit;
use png::Png;

/// Decodes one image. `max_pixels` is checked against the header, before memory is taken.
pub fn decode(bytes: &[u8], max_pixels: u64) -> Result<Rgb> {
    let mut image = Rgb::default();
    Decoder::new(max_pixels)?.decode(bytes, &mut image)?;
    Ok(image)
}

/// Decodes images one after the other, keeping its memory.
#[derive(Debug)]
pub struct Decoder {
    jpeg: Libjpeg,
    png: Png,
    oddities: Oddities,
    /// An image's pixels before they are turned upright.
    spare: Rgb,
    limit: Limit,
}

impl Decoder {
    /// A decoder that refuses images of more than `max_pixels`.
    pub fn new(max_pixels: u64) -> Result<Self> {
        Ok(Self {
            jpeg: Libjpeg::default(),
            png: Png::default(),
            oddities: Oddities::default(),
            spare: Rgb::default(),
            limit: Limit { max_pixels },
        })
    }

    /// Size and orientation of an image that [`decode`](Self::decode) would not refuse for its size.
    ///
    /// Reads the parts that tell them and no pixels: about a microsecond.
    pub fn header(&self, bytes: &[u8]) -> Result<Header> {
        let header = Header::read(bytes)?;
        self.limit.check(header.width, header.height)?;
        Ok(header)
    }

    /// Decodes `bytes` into `image`, upright, whose memory is reused. After an error `image` holds anything.
    pub fn decode(&mut self, bytes: &[u8], image: &mut Rgb) -> Result<()> {
        self.oddities = match FileFormat::of(bytes) {
            FileFormat::Jpeg => self.jpeg.decode(bytes, self.limit, image),
            FileFormat::Png => self.png.decode(bytes, self.limit, image),
            FileFormat::WebP => webp::decode(bytes, self.limit, image).map(|()| Oddities::default()),
            FileFormat::Empty => Err(Error::NoImage),
            other => Err(Error::Format(other)),
        }?;
        let orientation = Header::read(bytes).map_or(Orientation::Upright, |header| header.orientation);
        orientation.turn(image, &mut self.spare);
        Ok(())
    }

    /// What is odd about the image that was decoded last; of anything where there was an error.
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }
}
