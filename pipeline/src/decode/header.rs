//! What is known of an image before it is decoded.

use crate::Result;

use super::{Format, Orientation, jpeg_header, png, webp};

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
        match Format::of(bytes)? {
            Format::Jpeg => jpeg_header::read(bytes),
            Format::Png => png::header(bytes),
            Format::WebP => webp::header(bytes),
        }
    }

    /// Width and height of the image as decoded, upright.
    pub fn upright(&self) -> (u32, u32) {
        if self.orientation.swaps_sides() { (self.height, self.width) } else { (self.width, self.height) }
    }
}
