//! The network of queries.

use anyhow::Result;
use tch::Tensor;
use torchkit::Autocast;

use super::groups::Groups;
use crate::encoder::{Embedder, Mode, Norming, Projected};

/// The encoder and the head that are trained, on the views that queries are made of. Each view is encoded
/// separately, and batch norms treat its groups separately.
#[derive(Debug)]
pub(super) struct Queries {
    pub(super) network: Projected,
    pub(super) groups: Groups,
    /// The number of views: the first, or both.
    pub(super) views: i64,
}

impl Queries {
    /// Returns the images (n, 3, h, w) of each view of queries, those of a group one after the other.
    fn images(&self, views: &Tensor, norming: Norming) -> Vec<Tensor> {
        let order = self.groups.order(views.size()[1], norming.groups, views.device());
        let of_view = |view: Tensor| match &order {
            Some(order) => view.index_select(0, order),
            None => view,
        };
        views.narrow(0, 0, self.views).unbind(0).into_iter().map(of_view).collect()
    }

    /// Returns the mode of batch norms for a view.
    fn mode(&self, view: i64, norming: Norming) -> Mode {
        self.groups.mode(Norming { later_views: self.views - 1 - view, ..norming })
    }

    /// Joins the embeddings (n, …) of all views to (v, n, …), in the order of samples.
    fn joined(&self, embeddings: Vec<[Tensor; 2]>, norming: Norming) -> Vec<Tensor> {
        let n = embeddings[0][0].size()[0];
        let order = self
            .groups
            .order(n, norming.groups, embeddings[0][0].device())
            .map(|order| order.argsort(0, false));
        let joined = |number: usize| {
            let views: Vec<_> = embeddings.iter().map(|embeddings| &embeddings[number]).collect();
            let joined = Tensor::stack(&views, 0);
            order.as_ref().map_or_else(|| joined.shallow_clone(), |order| joined.index_select(1, order))
        };
        [0, 1].map(joined).into()
    }
}

impl Embedder for Queries {
    fn embed(&self, views: &Tensor, norming: Norming) -> Vec<Tensor> {
        let images = self.images(views, norming);
        let forward = |(images, view)| self.network.forward(images, self.mode(view, norming));
        self.joined(images.iter().zip(0..).map(forward).collect(), norming)
    }

    fn embed_by_block(&self, views: &Tensor, norming: Norming) -> (Vec<Tensor>, Vec<Tensor>) {
        let mode = self.groups.mode(norming.kept());
        let (mut embeddings, mut inputs) = (Vec::new(), Vec::new());
        for images in self.images(views, norming) {
            let (of_view, of_blocks) = self.network.forward_by_block(&images, mode);
            embeddings.push(of_view);
            inputs.extend(of_blocks);
        }
        (self.joined(embeddings, norming), inputs)
    }

    fn backward_by_block(
        &self,
        mut inputs: Vec<Tensor>,
        _views: i64,
        gradients: &[Tensor],
        norming: Norming,
        scope: &dyn Fn() -> Result<Option<Autocast>>,
    ) -> Result<()> {
        let n = gradients[0].size()[1];
        let order = self.groups.order(n, norming.groups, gradients[0].device());
        let blocks = inputs.len() / self.views as usize;
        for view in 0..self.views {
            let of_view: Vec<_> = inputs.drain(..blocks).collect();
            let gradients = [0, 1].map(|number: usize| {
                let gradient = gradients[number].get(view);
                order
                    .as_ref()
                    .map_or_else(|| gradient.shallow_clone(), |order| gradient.index_select(0, order))
            });
            self.network.backward_in(self.mode(view, norming), of_view, gradients, scope)?;
        }
        Ok(())
    }
}
