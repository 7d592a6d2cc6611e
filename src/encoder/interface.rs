//! What evaluation and export see of an encoder.

use anyhow::Result;
use tch::{Kind, Tensor};
use torchkit::Autocast;

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

/// What maps views to the embeddings that an objective is of: an encoder with its heads.
///
/// Only [`embed`](Self::embed) has to be there. Without more the whole is one block: its input is kept, and all of it computed
/// again on the way back. Nothing may be drawn at random on the way, or it would differ the second time.
pub trait Embedder {
    /// Embeddings in training mode of views (v, n, 3, side, side): (v, n, …) each. Each view goes by itself through batch norms, in
    /// order; their running statistics follow if `moves`.
    fn embed(&self, views: &Tensor, moves: bool) -> Vec<Tensor>;

    /// The same embeddings, the running statistics as they were; and the inputs of all blocks, for
    /// [`backward_by_block`](Self::backward_by_block).
    fn embed_by_block(&self, views: &Tensor) -> (Vec<Tensor>, Vec<Tensor>) {
        (self.embed(views, false), vec![views.shallow_clone()])
    }

    /// Leaves on the parameters what a loss with these gradients of the embeddings, (v, n, …) each, makes of the inputs of all
    /// blocks; the running statistics follow. What happens inside of a block is computed again, one block at a time (Chen et al.
    /// 2016, "Training deep nets with sublinear memory cost").
    ///
    /// `scope` is held while embeddings are computed.
    ///
    /// # Errors
    ///
    /// Those of `scope`.
    fn backward_by_block(
        &self,
        inputs: Vec<Tensor>,
        _views: i64,
        gradients: &[Tensor],
        scope: &dyn Fn() -> Result<Option<Autocast>>,
    ) -> Result<()> {
        for input in inputs {
            let embeddings = {
                let _scope = scope()?;
                self.embed(&input, true)
            };
            let along = embeddings.iter().zip(gradients);
            let total: Tensor =
                along.map(|(x, gradient)| (x * gradient.to_kind(x.kind())).sum(Kind::Float)).sum();
            total.backward();
        }
        Ok(())
    }
}
