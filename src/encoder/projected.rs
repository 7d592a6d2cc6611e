//! An encoder with a head, for methods whose loss compares projections of the features.

use anyhow::Result;
use tch::{Kind, Tensor};
use torchkit::Autocast;

use super::{
    interface::{Embedder, Encoder},
    norm::{Mode, Moves},
    projection::Projection,
};

/// Which samples of a batch are normalized together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormBatch {
    /// All views of all samples.
    AllViews,
    /// The samples of each view.
    EachView,
}

/// An encoder and its head. The embeddings are the features (v, n, width) and their projections (v, n, d).
#[derive(Debug)]
pub struct Projected {
    /// The encoder.
    pub encoder: Box<dyn Encoder>,
    /// The head.
    pub head: Projection,
    /// The samples that batch norms treat as one batch.
    pub norm_batch: NormBatch,
}

impl Projected {
    fn mode(&self, views: i64, moves: bool) -> Mode {
        let groups = match self.norm_batch {
            NormBatch::AllViews => 1,
            NormBatch::EachView => views,
        };
        Mode::Training { groups, moves: Moves::InTurn.if_moving(moves) }
    }

    /// Returns the features of images (n, 3, h, w) and their projections.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> [Tensor; 2] {
        let features = self.encoder.features(images, mode);
        let projections = self.head.forward(&features, mode);
        [features, projections]
    }

    /// Returns the multiply-accumulates for one image.
    pub fn macs(&self) -> u64 {
        self.encoder.macs() + self.head.macs()
    }
}

/// Returns the scalar whose gradient with regard to `x` is `gradient`.
fn product(x: &Tensor, gradient: &Tensor) -> Tensor {
    (x * gradient.to_kind(x.kind())).sum(if x.kind() == Kind::Double { Kind::Double } else { Kind::Float })
}

impl Embedder for Projected {
    fn embed(&self, views: &Tensor, moves: bool) -> Vec<Tensor> {
        let (v, n) = (views.size()[0], views.size()[1]);
        let both = self.forward(&views.flatten(0, 1), self.mode(v, moves));
        both.map(|embedding| embedding.unflatten(0, [v, n])).into()
    }

    fn embed_by_block(&self, views: &Tensor) -> (Vec<Tensor>, Vec<Tensor>) {
        let (v, n) = (views.size()[0], views.size()[1]);
        let mode = self.mode(v, false);
        let mut inputs = Vec::new();
        let mut x = views.flatten(0, 1);
        for number in 0..self.encoder.blocks() {
            let output = self.encoder.block(number, &x, mode);
            inputs.push(std::mem::replace(&mut x, output));
        }
        let projections = self.head.forward(&x, mode);
        inputs.push(x.shallow_clone());
        ([x, projections].map(|embedding| embedding.unflatten(0, [v, n])).into(), inputs)
    }

    fn backward_by_block(
        &self,
        mut inputs: Vec<Tensor>,
        views: i64,
        gradients: &[Tensor],
        scope: &dyn Fn() -> Result<Option<Autocast>>,
    ) -> Result<()> {
        let mode = self.mode(views, true);
        let [of_features, of_projections] = [0, 1].map(|number: usize| gradients[number].flatten(0, 1));
        let features = inputs.pop().map(|input| input.detach().set_requires_grad(true));
        let features = features.unwrap_or_else(|| of_features.zeros_like());
        {
            let projections = {
                let _scope = scope()?;
                self.head.forward(&features, mode)
            };
            product(&projections, &of_projections).backward();
        }
        let mut gradient = features.grad() + of_features;
        for (number, input) in inputs.into_iter().enumerate().rev() {
            let input = input.detach().set_requires_grad(number > 0);
            let output = {
                let _scope = scope()?;
                self.encoder.block(number, &input, mode)
            };
            product(&output, &gradient).backward();
            gradient = input.grad();
        }
        Ok(())
    }
}
