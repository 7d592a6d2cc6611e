//! Encoded bytes → upright RGB pixels; which decoder takes which file.
//!
//! JPEGs go to libjpeg-turbo, PNGs to `png`, WebPs to libwebp. The format is told from the first bytes: names lie.
//! Pixels are those of Pillow's `ImageOps.exif_transpose` and `convert("RGB")`: turned as EXIF or XMP says, alpha dropped,
//! grayscale replicated, palettes looked up, of 16 bits the upper eight (of grayscale as well, which Pillow would clip to
//! white), CMYK taken to be inverted, as Adobe writes it, and of an animation the first frame. Files cut short are
//! errors, not gray pixels, and so is what a decoder would have to make up; other oddities are noted. `docs/reference/forms.md`
//! has each form.

mod decoder;
mod encoded_image;
mod exif;
mod header;
pub mod jpeg;
mod libjpeg;
mod limit;
mod metadata;
mod oddity;
mod orientation;
mod png;
mod webp;

pub use decoder::{Decoder, decode};
pub(crate) use encoded_image::EncodedImage;
pub use header::Header;
pub use oddity::{Oddities, Oddity};
pub use orientation::Orientation;
