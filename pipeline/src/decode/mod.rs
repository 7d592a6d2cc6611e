//! Decodes bytes to upright RGB pixels, choosing the decoder by the format.
//!
//! JPEGs go to our own decoder ([`jpeg`]) or libjpeg-turbo, PNGs to `png`, WebPs to libwebp. The format is
//! recognized by the first bytes; names are not reliable. Pixels are those of Pillow's
//! `ImageOps.exif_transpose` and `convert("RGB")`: turned as EXIF or XMP says, alpha dropped, grayscale
//! replicated, palettes looked up, 16 bits reduced to the upper eight (also of grayscale, which Pillow would
//! clip to white), CMYK taken to be inverted, as Adobe writes it, and of an animation the first frame. A file
//! that is cut short is an error, not gray pixels, and so is one for which a decoder would have to invent
//! data; other oddities are reported. `docs/reference/forms.md` lists each form.

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
