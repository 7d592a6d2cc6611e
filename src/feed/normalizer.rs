//! Pixels as the encoder takes them.

use pipeline::Normalization;
use tch::{Device, Kind, Tensor};

/// Mean and spread of the channels, on the device.
#[derive(Debug)]
pub struct Normalizer {
    mean: Tensor,
    std: Tensor,
}

impl Normalizer {
    /// One for tensors of a device.
    pub fn new(normalization: &Normalization, device: Device) -> Self {
        let channels = |values: &[f64; 3]| Tensor::from_slice(values).to_kind(Kind::Float).to_device(device);
        Self { mean: channels(&normalization.mean), std: channels(&normalization.std) }
    }

    /// Normalizes pixels (…, 3), which are floating-point numbers from 0 to 255, in place.
    pub fn normalize(&self, pixels: &Tensor) {
        let mut pixels = pixels.shallow_clone();
        pixels -= &self.mean;
        pixels /= &self.std;
    }
}
