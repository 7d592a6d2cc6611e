//! Normalization of pixels on the device.

use pipeline::Normalization;
use tch::{Device, Kind, Tensor};

/// Mean and standard deviation of the channels, on the device.
#[derive(Debug)]
pub struct Normalizer {
    mean: Tensor,
    std: Tensor,
}

impl Normalizer {
    /// Returns a normalizer for tensors on `device`.
    pub fn new(normalization: &Normalization, device: Device) -> Self {
        let channels = |values: &[f64; 3]| Tensor::from_slice(values).to_kind(Kind::Float).to_device(device);
        Self { mean: channels(&normalization.mean), std: channels(&normalization.std) }
    }

    /// Normalizes pixels (…, 3), f32 from 0 to 255, in place.
    pub fn normalize(&self, pixels: &Tensor) {
        let mut pixels = pixels.shallow_clone();
        pixels -= &self.mean;
        pixels /= &self.std;
    }
}
