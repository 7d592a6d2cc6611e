//! An encoder with a head, for methods whose loss compares projections of the features.

use anyhow::Result;
use tch::Tensor;
use torchkit::Autocast;

use super::{
    by_block::{Chain, product},
    interface::{Embedder, Encoder},
    norm::{Mode, Norming},
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
    fn mode(&self, views: i64, norming: Norming) -> Mode {
        let views = match self.norm_batch {
            NormBatch::AllViews => 1,
            NormBatch::EachView => views,
        };
        Mode::Training { views, norming }
    }

    /// Returns views (v, n, …) as one batch (v·n, …), in which the samples of a group are consecutive.
    fn flat(&self, views: &Tensor, groups: i64) -> Tensor {
        if groups == 1 || self.norm_batch == NormBatch::EachView {
            return views.flatten(0, 1);
        }
        views.unflatten(1, [groups, -1]).transpose(0, 1).flatten(0, 2)
    }

    /// Undoes [`flat`](Self::flat) for embeddings (v·n, …) of `v` views.
    fn by_view(&self, flat: &Tensor, v: i64, groups: i64) -> Tensor {
        if groups == 1 || self.norm_batch == NormBatch::EachView {
            return flat.unflatten(0, [v, -1]);
        }
        flat.unflatten(0, [groups, v, -1]).transpose(0, 1).flatten(1, 2)
    }

    /// Returns the features of images (n, 3, h, w) and their projections.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> [Tensor; 2] {
        let features = self.encoder.features(images, mode);
        let projections = self.head.forward(&features, mode);
        [features, projections]
    }

    /// Returns the features of images (n, 3, h, w), their projections, and the inputs of all blocks and of the
    /// head.
    pub(crate) fn forward_by_block(&self, images: &Tensor, mode: Mode) -> ([Tensor; 2], Vec<Tensor>) {
        let (features, mut inputs) = self.chain(mode).forward(images);
        inputs.push(features.shallow_clone());
        let projections = self.head.forward(&features, mode);
        ([features, projections], inputs)
    }

    /// Backpropagates `gradients` of features and projections through the head and all blocks, whose inputs
    /// are those of [`forward_by_block`](Self::forward_by_block).
    ///
    /// # Errors
    ///
    /// The errors of `scope`.
    pub(crate) fn backward_in(
        &self,
        mode: Mode,
        mut inputs: Vec<Tensor>,
        [of_features, of_projections]: [Tensor; 2],
        scope: &dyn Fn() -> Result<Option<Autocast>>,
    ) -> Result<()> {
        let features = inputs.pop().expect("the input of the head").detach().set_requires_grad(true);
        let projections = {
            let _scope = scope()?;
            self.head.forward(&features, mode)
        };
        product(&projections, &of_projections).backward();
        self.chain(mode).backward(inputs, features.grad() + of_features, scope)
    }

    fn chain(&self, mode: Mode) -> Chain<impl Fn(usize, &Tensor) -> Tensor> {
        let block = move |number, x: &Tensor| self.encoder.block(number, x, mode);
        Chain { len: self.encoder.blocks(), block }
    }

    /// Returns the multiply-accumulates for one image.
    pub fn macs(&self) -> u64 {
        self.encoder.macs() + self.head.macs()
    }
}

impl Embedder for Projected {
    fn embed(&self, views: &Tensor, norming: Norming) -> Vec<Tensor> {
        let v = views.size()[0];
        let both = self.forward(&self.flat(views, norming.groups), self.mode(v, norming));
        both.map(|embedding| self.by_view(&embedding, v, norming.groups)).into()
    }

    fn embed_by_block(&self, views: &Tensor, norming: Norming) -> (Vec<Tensor>, Vec<Tensor>) {
        let v = views.size()[0];
        let mode = self.mode(v, norming.kept());
        let (both, inputs) = self.forward_by_block(&self.flat(views, norming.groups), mode);
        (both.map(|embedding| self.by_view(&embedding, v, norming.groups)).into(), inputs)
    }

    fn backward_by_block(
        &self,
        inputs: Vec<Tensor>,
        views: i64,
        gradients: &[Tensor],
        norming: Norming,
        scope: &dyn Fn() -> Result<Option<Autocast>>,
    ) -> Result<()> {
        let gradients = [0, 1].map(|number: usize| self.flat(&gradients[number], norming.groups));
        self.backward_in(self.mode(views, norming), inputs, gradients, scope)
    }
}
