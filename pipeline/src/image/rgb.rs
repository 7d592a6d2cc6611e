//! The image type that all stages share.

/// An image of interleaved 8-bit RGB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rgb {
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
    /// The pixels, rows from top to bottom: (height, width, 3) bytes.
    pub pixels: Vec<u8>,
}

impl Rgb {
    /// Makes a black image.
    pub fn black(width: u32, height: u32) -> Self {
        let mut image = Self::default();
        image.reshape(width, height);
        image
    }

    /// Changes the size, reusing the memory. The pixels are undefined afterwards.
    pub fn reshape(&mut self, width: u32, height: u32) {
        (self.width, self.height) = (width, height);
        self.pixels.resize(3 * width as usize * height as usize, 0);
    }

    /// Returns the distance from one row to the next, in bytes.
    pub fn stride(&self) -> usize {
        3 * self.width as usize
    }
}
