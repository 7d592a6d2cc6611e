//! Features of an encoder that is not trained meanwhile.

use anyhow::Result;
use tch::Tensor;
use torchkit::Precision;

use crate::{encoder::Encoder, loss};

/// Features (n, width) of images (n, 3, h, w) by an encoder that does not change meanwhile, in f32 at least; `precision` is
/// that of its training.
pub(crate) fn frozen(encoder: &dyn Encoder, images: &Tensor, precision: Precision) -> Result<Tensor> {
    without_gradient(encoder, images, false, precision)
}

/// The same; with `train` its norms go by the batch, and their running statistics move.
pub(crate) fn without_gradient(
    encoder: &dyn Encoder,
    images: &Tensor,
    train: bool,
    precision: Precision,
) -> Result<Tensor> {
    let device = images.device();
    let _scope = precision.of_evaluation(device).autocast(device)?;
    Ok(loss::widened(&tch::no_grad(|| encoder.features(images, train))))
}
