//! Named tensors of an encoder, and the values that they begin with.

use tch::{
    Kind, Tensor,
    nn::{self, Path},
};

/// PyTorch's default for convolutions and linear layers: uniform within ±1/√fan-in, fan-in being all but the first
/// of `shape`. Drawn on the CPU, so that a seed gives the same model on every device.
pub(super) fn uniform_fan_in(path: &Path, name: &str, shape: &[i64], fan_in: i64) -> Tensor {
    let bound = 1.0 / (fan_in as f64).sqrt();
    let values = Tensor::empty(shape, (Kind::Float, tch::Device::Cpu)).uniform_(-bound, bound);
    parameter(path, name, &channels_last(&values))
}

/// The same weight of a convolution (out, in, h, w), laid out as its input is: it is used, and its gradient made, without a copy.
pub(super) fn channels_last(weight: &Tensor) -> Tensor {
    match weight.dim() {
        4 => weight.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
        _ => weight.shallow_clone(),
    }
}

/// A trained tensor of the given initial value.
pub(super) fn parameter(path: &Path, name: &str, value: &Tensor) -> Tensor {
    path.add(name, value.to_kind(path.kind()).to_device(path.device()), true)
}

/// A named tensor that is state, not trained.
pub(super) fn buffer(path: &Path, name: &str, value: &Tensor) -> Tensor {
    path.add(name, value.to_device(path.device()), false)
}

/// Sets the kind of every floating-point tensor, parameters and state alike, e.g. to f64 for comparisons.
pub fn set_float_kind(vars: &mut nn::VarStore, kind: Kind) {
    match kind {
        Kind::Double => vars.double(),
        _ => vars.float(),
    }
}
