//! The image type that every stage shares.

/// An image of interleaved 8-bit RGB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Rows from top to bottom, `3 · width · height` bytes.
    pub pixels: Vec<u8>,
}

impl Rgb {
    /// A black image.
    pub fn black(width: u32, height: u32) -> Self {
        let mut image = Self::default();
        image.reshape(width, height);
        image
    }

    /// Gives the image another size, keeping its memory. What its pixels show afterwards is unspecified.
    pub fn reshape(&mut self, width: u32, height: u32) {
        (self.width, self.height) = (width, height);
        self.pixels.resize(3 * width as usize * height as usize, 0);
    }

    /// Bytes from one row to the next.
    pub fn stride(&self) -> usize {
        3 * self.width as usize
    }
}
