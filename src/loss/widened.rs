//! The precision of losses.

use tch::{Kind, Tensor};

/// Returns a tensor of at least f32: half precision is too coarse for sums of exponentials.
pub(crate) fn widened(x: &Tensor) -> Tensor {
    if matches!(x.kind(), Kind::Half | Kind::BFloat16) { x.to_kind(Kind::Float) } else { x.shallow_clone() }
}
