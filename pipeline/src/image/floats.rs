//! The image type that operations on floats work on.

use super::planes::RgbPlanes;
use crate::cpu::{Cpu, versions};

/// An image with its colours in three consecutive planes, as floats from 0 to 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct FloatPlanes {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<f64>,
}

impl FloatPlanes {
    /// Changes the size, reusing the memory; the pixels are undefined afterwards.
    pub(crate) fn reshape(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.pixels.resize(3 * width * height, 0.0);
    }

    /// Returns the planes of red, green and blue.
    pub(crate) fn rgb_mut(&mut self) -> [&mut [f64]; 3] {
        let (red, rest) = self.pixels.split_at_mut(self.width * self.height);
        let (green, blue) = rest.split_at_mut(self.width * self.height);
        [red, green, blue]
    }

    /// Loads an image of 8-bit values.
    pub(crate) fn load(&mut self, cpu: Cpu, image: &RgbPlanes) {
        self.reshape(image.width, image.height);
        scale(cpu, &image.pixels, &mut self.pixels);
    }

    /// Rounds the values to 8 bits.
    pub(crate) fn store(&self, cpu: Cpu, image: &mut RgbPlanes) {
        image.reshape(self.width, self.height);
        round(cpu, &self.pixels, &mut image.pixels);
    }
}

versions! {
    fn scale(values: &[u8], out: &mut [f64]) {
        for (out, &value) in out.iter_mut().zip(values) {
            *out = f64::from(value) / 255.0;
        }
    }

    fn round(values: &[f64], out: &mut [u8]) {
        for (out, &value) in out.iter_mut().zip(values) {
            // The lower bits of the sum are the number, rounded to the nearest.
            *out = (value.clamp(0.0, 1.0) * 255.0 + 6_755_399_441_055_744.0).to_bits() as u8;
        }
    }
}
