//! Normalization of pixels on the device.

use pipeline::Normalization;
use tch::{Device, Kind, Tensor};
use torchkit::{Failure, caught};

/// Mean and standard deviation of the channels, on the device.
#[derive(Debug)]
pub struct Normalizer {
    mean: Tensor,
    std: Tensor,
    /// 1 / std and −mean / std.
    factor: Tensor,
    offset: Tensor,
}

impl Normalizer {
    /// Returns a normalizer for tensors on `device`.
    pub fn new(normalization: &Normalization, device: Device) -> Self {
        let channels = |values: &[f64; 3]| Tensor::from_slice(values).to_kind(Kind::Float).to_device(device);
        let Normalization { mean, std } = normalization;
        let factor = std.map(|std| 1.0 / std);
        let offset = [0, 1, 2].map(|channel: usize| -mean[channel] / std[channel]);
        Self {
            mean: channels(mean),
            std: channels(std),
            factor: channels(&factor),
            offset: channels(&offset),
        }
    }

    /// Writes normalized pixels (m, 3) of bytes (m, 3): f32, or bf16 in one pass.
    ///
    /// # Errors
    ///
    /// The device's failure.
    pub fn write(&self, images: &Tensor, bytes: &Tensor) -> Result<(), Failure> {
        if images.kind() == Kind::BFloat16 {
            return caught(|| drop(self.offset.addcmul_out(images, bytes, &self.factor)));
        }
        torchkit::copy(images, bytes)?;
        caught(|| self.normalize(images))
    }

    /// Returns whether every byte in every channel becomes the same in bf16 in one pass as in f32, but for the
    /// rounding of bf16. Waits for the device.
    ///
    /// # Errors
    ///
    /// The device's failure.
    pub fn is_right_in_bf16(&self) -> Result<bool, Failure> {
        let device = self.mean.device();
        let images = |kind| -> Result<Tensor, Failure> {
            let bytes = Tensor::arange(256, (Kind::Uint8, Device::Cpu)).unsqueeze(1).repeat([1, 3]);
            let images = Tensor::empty([256, 3], (kind, device));
            tch::no_grad(|| self.write(&images, &bytes.to_device(device)))?;
            Ok(images.to_device(Device::Cpu).to_kind(Kind::Float))
        };
        let (exact, rounded) = (images(Kind::Float)?, images(Kind::BFloat16)?);
        let off = (rounded - &exact).abs() / exact.abs().clamp_min(1e-3);
        Ok(off.max().double_value(&[]) <= 2f64.powi(-8))
    }

    /// Normalizes pixels (…, 3), f32 from 0 to 255, in place.
    pub fn normalize(&self, pixels: &Tensor) {
        let mut pixels = pixels.shallow_clone();
        pixels -= &self.mean;
        pixels /= &self.std;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_in_bf16_are_those_in_f32_rounded() {
        let normalizer = Normalizer::new(&pipeline::Preset::In224.normalization(), Device::Cpu);
        assert!(normalizer.is_right_in_bf16().unwrap());
        let doubled = Normalizer { factor: &normalizer.factor * 1.01, ..normalizer };
        assert!(!doubled.is_right_in_bf16().unwrap());
    }
}
