//! The image type that edits work on.

use super::{interleave::interleave, pairs::PixelPairs, rgb::Rgb};
use crate::Cpu;

/// An image with its colours in three consecutive planes, so that arithmetic runs over plain rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct RgbPlanes {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
}

impl RgbPlanes {
    /// Changes the size, reusing the memory; the pixels are undefined afterwards.
    pub(crate) fn reshape(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.pixels.resize(3 * width * height, 0);
    }

    /// Iterates over the planes, each with its width.
    pub(crate) fn planes_mut(&mut self) -> impl Iterator<Item = (usize, &mut [u8])> {
        let (width, size) = (self.width, self.width * self.height);
        self.pixels.chunks_exact_mut(size).map(move |plane| (width, plane))
    }

    /// Returns the planes of red, green and blue.
    pub(crate) fn rgb_mut(&mut self) -> [&mut [u8]; 3] {
        let (red, rest) = self.pixels.split_at_mut(self.width * self.height);
        let (green, blue) = rest.split_at_mut(self.width * self.height);
        [red, green, blue]
    }

    /// Loads a whole image, mirrored if `mirrored`.
    pub(crate) fn load(&mut self, image: &PixelPairs, mirrored: bool) {
        self.reshape(image.width as usize, image.height as usize);
        let (width, height) = (self.width, self.height);
        for (number, plane) in self.pixels.chunks_exact_mut(width * height).enumerate() {
            let columns = image.rows(number, 0).chunks(image.pitch(number));
            for (x, column) in columns
                .flat_map(|pair| [&pair[..2 * height - 1], &pair[1..2 * height]])
                .take(width)
                .enumerate()
            {
                let x = if mirrored { width - 1 - x } else { x };
                for (y, value) in column.iter().step_by(2).enumerate() {
                    plane[y * width + x] = *value;
                }
            }
        }
    }

    /// Writes the image interleaved.
    pub(crate) fn store_image(&self, cpu: Cpu, image: &mut Rgb) {
        image.reshape(self.width as u32, self.height as u32);
        self.store(cpu, &mut image.pixels);
    }

    /// Writes the pixels interleaved: (height, width, 3) bytes.
    pub(crate) fn store(&self, cpu: Cpu, pixels: &mut [u8]) {
        let (red, rest) = self.pixels.split_at(self.width * self.height);
        let (green, blue) = rest.split_at(self.width * self.height);
        interleave(cpu, red, green, blue, pixels);
    }
}
