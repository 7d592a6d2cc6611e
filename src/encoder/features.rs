//! An encoder without a head, for methods whose loss takes the features.

use anyhow::Result;
use tch::Tensor;
use torchkit::Autocast;

use super::{
    by_block::Chain,
    interface::{Embedder, Encoder},
    norm::{Mode, Norming},
};

/// An encoder whose features (v, n, width) are the only embedding. Batch norms normalize each view
/// separately.
#[derive(Debug)]
pub struct Features(pub Box<dyn Encoder>);

impl Features {
    fn chain(&self, mode: Mode) -> Chain<impl Fn(usize, &Tensor) -> Tensor> {
        Chain { len: self.0.blocks(), block: move |number, x: &Tensor| self.0.block(number, x, mode) }
    }
}

impl Embedder for Features {
    fn embed(&self, views: &Tensor, norming: Norming) -> Vec<Tensor> {
        let (v, n) = (views.size()[0], views.size()[1]);
        let features = self.0.features(&views.flatten(0, 1), Mode::Training { views: v, norming });
        vec![features.unflatten(0, [v, n])]
    }

    fn embed_by_block(&self, views: &Tensor, norming: Norming) -> (Vec<Tensor>, Vec<Tensor>) {
        let (v, n) = (views.size()[0], views.size()[1]);
        let chain = self.chain(Mode::Training { views: v, norming: norming.kept() });
        let (features, inputs) = chain.forward(&views.flatten(0, 1));
        (vec![features.unflatten(0, [v, n])], inputs)
    }

    fn backward_by_block(
        &self,
        inputs: Vec<Tensor>,
        views: i64,
        gradients: &[Tensor],
        norming: Norming,
        scope: &dyn Fn() -> Result<Option<Autocast>>,
    ) -> Result<()> {
        let chain = self.chain(Mode::Training { views, norming });
        chain.backward(inputs, gradients[0].flatten(0, 1), scope)
    }
}
