//! The two tolerances of comparisons.

use tch::{Device, Kind};

/// The tolerance of a comparison, which is computed in the same precision: in f64 the rounding of the golden
/// tensors; in f32 the deviation of the reference implementation from f64, with room for another order of
/// summation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// In f64.
    Double,
    /// In f32.
    Single,
}

impl Precision {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Double => Kind::Double,
            Self::Single => Kind::Float,
        }
    }
}

/// The tolerance of tensors in f64, whose goldens are f64 rounded to f32. It is relative to the largest value
/// of a tensor, and for updates to the sum of their learning rates.
pub(super) const TENSOR: f64 = 6e-8;

/// Returns the tolerance of losses in f64, whose goldens are f64. Other devices than the CPU sum in another
/// order.
pub(super) fn loss_bound(device: Device) -> f64 {
    if device == Device::Cpu { 3e-13 } else { 1e-9 }
}
