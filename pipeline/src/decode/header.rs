//! The header of an image.

use super::orientation::Orientation;

/// Size and orientation of an image, known before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The width of the stored image, in pixels.
    pub width: u32,
    /// The height of the stored image, in pixels.
    pub height: u32,
    /// The orientation of the stored image.
    pub orientation: Orientation,
}

impl Header {
    /// Returns width and height of the upright image, as decoded.
    pub fn upright(&self) -> (u32, u32) {
        if self.orientation.swaps_sides() { (self.height, self.width) } else { (self.width, self.height) }
    }
}
