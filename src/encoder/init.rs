//! The named tensors of an encoder and their initial values.

use tch::{
    Kind, Tensor,
    nn::{self, Path},
};

/// Returns a trained tensor with PyTorch's default initialization of convolutions and linear layers: uniform
/// within ±1/√`fan_in`. It is drawn on the CPU, so that a seed gives the same model on every device.
pub(super) fn uniform_fan_in(path: &Path, name: &str, shape: &[i64], fan_in: i64) -> Tensor {
    let bound = 1.0 / (fan_in as f64).sqrt();
    let values = Tensor::empty(shape, (Kind::Float, tch::Device::Cpu)).uniform_(-bound, bound);
    parameter(path, name, &channels_last(&values))
}

/// Returns the trained weight of a convolution (out, in, h, w), drawn from a normal distribution of mean 0 and
/// standard deviation √(2/(out·h·w)) (He et al. 2015, by fan-out), as ResNets of torchvision have it. It is
/// drawn on the CPU.
pub(super) fn normal_fan_out(path: &Path, name: &str, shape: [i64; 4]) -> Tensor {
    let [output, _, height, width] = shape;
    let spread = (2.0 / (output * height * width) as f64).sqrt();
    let values = Tensor::randn(shape, (Kind::Float, tch::Device::Cpu)) * spread;
    parameter(path, name, &channels_last(&values))
}

/// Returns the weight of a convolution (out, in, h, w) in channels-last memory, the layout of its input:
/// cuDNN then uses the weight, and writes its gradient, without a copy. Other tensors are returned unchanged.
pub(super) fn channels_last(weight: &Tensor) -> Tensor {
    match weight.dim() {
        4 => weight.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
        _ => weight.shallow_clone(),
    }
}

/// Returns a trained tensor with this initial value.
pub(super) fn parameter(path: &Path, name: &str, value: &Tensor) -> Tensor {
    path.add(name, value.to_kind(path.kind()).to_device(path.device()), true)
}

/// Returns a tensor that is saved but not trained, such as a running statistic.
pub(super) fn buffer(path: &Path, name: &str, value: &Tensor) -> Tensor {
    path.add(name, value.to_device(path.device()), false)
}

/// Converts all floating-point tensors, parameters and state, to `kind`: f64 if it is `Double`, f32
/// otherwise. Comparisons use f64.
pub fn set_float_kind(vars: &mut nn::VarStore, kind: Kind) {
    match kind {
        Kind::Double => vars.double(),
        _ => vars.float(),
    }
}
