//! What is known of an image before it is decoded.

use crate::{Error, Result};

use super::{FileFormat, Orientation, jpeg_header, png, webp};

/// What is known of an image before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Pixels in a stored row.
    pub width: u32,
    /// Stored rows.
    pub height: u32,
    /// How the stored pixels are turned upright.
    pub orientation: Orientation,
}

impl Header {
    /// Reads size and orientation of an image of any format; damaged EXIF counts as upright.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        match FileFormat::of(bytes) {
            FileFormat::Jpeg => jpeg_header::read(bytes),
            FileFormat::Png => png::header(bytes),
            FileFormat::WebP => webp::header(bytes),
            FileFormat::Empty => Err(Error::NoImage),
            other => Err(Error::Format(other)),
        }
    }

    /// Width and height of the image as decoded, upright.
    pub fn upright(&self) -> (u32, u32) {
        if self.orientation.swaps_sides() { (self.height, self.width) } else { (self.width, self.height) }
    }
}
