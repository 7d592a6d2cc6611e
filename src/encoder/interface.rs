//! What evaluation and export see of an encoder.

use tch::Tensor;

/// What maps images to a representation: all that evaluation and export see of a model.
pub trait Encoder {
    /// The global output before any head, (n, `width`), of normalized images (n, 3, h, w).
    ///
    /// With `train`, batch norms use the batch's statistics and move their running ones.
    fn features(&self, images: &Tensor, train: bool) -> Tensor;

    /// Takes in the `number`-th batch, from 1, of those whose mean the running statistics of the norms are to be: what they were
    /// before counts no longer.
    fn settle(&self, images: &Tensor, number: i64);

    /// Channels of the features.
    fn width(&self) -> i64;

    /// The representation (n, channels) under one of its [`layers`](Self::layers)' names, in evaluation mode, the mean over its
    /// locations.
    fn pooled(&self, images: &Tensor, layer: &str) -> Tensor;

    /// Names of its representations, that of the features first.
    fn layers(&self) -> &'static [&'static str];
}
