//! Features of an encoder without a gradient.

use anyhow::Result;
use tch::Tensor;
use torchkit::Precision;

use crate::{
    encoder::{Encoder, Mode},
    loss,
};

/// Returns features (n, width) of images (n, 3, h, w) without a gradient, in f32 or f64. `precision` is that
/// of training; the features are computed in [the one for evaluation](Precision::of_evaluation).
///
/// # Errors
///
/// If the device cannot compute in that precision.
pub(crate) fn features(
    encoder: &dyn Encoder,
    images: &Tensor,
    mode: Mode,
    precision: Precision,
) -> Result<Tensor> {
    let device = images.device();
    let _scope = precision.of_evaluation(device).autocast(device)?;
    Ok(loss::widened(&tch::no_grad(|| encoder.features(images, mode))))
}
