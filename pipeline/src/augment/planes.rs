//! The image type that operations work on.

use crate::Rgb;

/// An image whose colours lie in three planes, one after the other, so that arithmetic runs over plain rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Planes {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
}

impl Planes {
    /// Gives the image another size, keeping its memory; what its pixels show is unspecified.
    pub(crate) fn reshape(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.pixels.resize(3 * width * height, 0);
    }

    /// Red, green and blue.
    pub(crate) fn rgb_mut(&mut self) -> [&mut [u8]; 3] {
        let (red, rest) = self.pixels.split_at_mut(self.width * self.height);
        let (green, blue) = rest.split_at_mut(self.width * self.height);
        [red, green, blue]
    }

    /// Takes over an interleaved image, seen in a mirror if `mirrored`.
    pub(crate) fn load(&mut self, image: &Rgb, mirrored: bool) {
        self.reshape(image.width as usize, image.height as usize);
        let width = self.width;
        let [red, green, blue] = self.rgb_mut();
        for (y, row) in image.pixels.chunks_exact(3 * width).enumerate() {
            for (x, &[r, g, b]) in row.as_chunks::<3>().0.iter().enumerate() {
                let at = y * width + if mirrored { width - 1 - x } else { x };
                (red[at], green[at], blue[at]) = (r, g, b);
            }
        }
    }

    /// Writes the image interleaved.
    pub(crate) fn store_image(&self, image: &mut Rgb) {
        image.reshape(self.width as u32, self.height as u32);
        self.store(&mut image.pixels);
    }

    /// Writes the pixels interleaved.
    pub(crate) fn store(&self, pixels: &mut [u8]) {
        let (red, rest) = self.pixels.split_at(self.width * self.height);
        let (green, blue) = rest.split_at(self.width * self.height);
        interleave(red, green, blue, pixels);
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn interleave(red: &[u8], green: &[u8], blue: &[u8], pixels: &mut [u8]) {
    for (((pixel, &r), &g), &b) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(red).zip(green).zip(blue) {
        *pixel = [r, g, b];
    }
}
