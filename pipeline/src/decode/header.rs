//! What is known of an image before it is decoded.

use super::orientation::Orientation;

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
    /// Width and height of the image as decoded, upright.
    pub fn upright(&self) -> (u32, u32) {
        if self.orientation.swaps_sides() { (self.height, self.width) } else { (self.width, self.height) }
    }
}
