//! The network: a trunk of layers and a head on two of them.

use anyhow::Result;
use tch::{Kind, Tensor, nn::Path};
use torchkit::Autocast;

use super::{
    blocks::{Layer, RkhsHead},
    config::Config,
    embeddings::Embeddings,
    layers::layers,
};
use crate::encoder::{
    interface::{Embedder, Encoder},
    norm::{Mode, Norming},
};

/// A convolutional encoder with an RKHS head on its 7×7 and 5×5 layers, where the receptive fields of
/// locations overlap little.
#[derive(Debug)]
pub struct AmdimEncoder {
    layers: Vec<Layer>,
    rkhs_block_5: RkhsHead,
    rkhs_block_7: RkhsHead,
    n_rkhs: i64,
    side: i64,
}

impl AmdimEncoder {
    /// Returns a freshly initialized encoder for images of `side` 32, 64 or 128 pixels. Its tensors are named
    /// under `path` as in the reference implementation.
    ///
    /// # Panics
    ///
    /// If `side` is another number; a [`pipeline::Preset`] has one of these three.
    pub fn new(path: &Path, side: u32, config: &Config) -> Self {
        let &Config { n_rkhs, use_bn, .. } = config;
        let (layers, widest) = layers(path, side, config);
        Self {
            layers,
            rkhs_block_5: RkhsHead::new(&(path / "rkhs_block_5"), widest, n_rkhs, use_bn),
            rkhs_block_7: RkhsHead::new(&(path / "rkhs_block_7"), widest, n_rkhs, use_bn),
            n_rkhs,
            side: side.into(),
        }
    }

    /// Returns the number of values of an image: 3·side·side.
    pub fn pixels(&self) -> i64 {
        3 * self.side * self.side
    }

    /// Returns the parameters that no embedding depends on.
    pub fn idle_in_embeddings(&self) -> Vec<&Tensor> {
        let heads = [&self.rkhs_block_5, &self.rkhs_block_7].into_iter().flat_map(RkhsHead::idle);
        self.layers.iter().flat_map(Layer::idle).chain(heads).collect()
    }

    /// Returns embeddings of normalized images (n, 3, side, side).
    ///
    /// # Panics
    ///
    /// If the images have another side than those of the encoder.
    pub fn embed(&self, images: &Tensor, train: bool) -> Embeddings {
        self.forward(images, Mode::training_if(train))
    }

    /// Returns embeddings in training mode of views (v, n, 3, side, side): tensors of shape (v, n, …). The
    /// convolutions treat all views as one batch; batch norms treat each view by itself, in order.
    ///
    /// # Panics
    ///
    /// If the images have another side than those of the encoder.
    pub fn embed_views(&self, images: &Tensor, norming: Norming) -> Embeddings {
        let (views, samples) = (images.size()[0], images.size()[1]);
        let all = self.forward(&images.flatten(0, 1), Mode::Training { views, norming });
        all.map(|embedding| embedding.unflatten(0, [views, samples]))
    }

    fn forward(&self, images: &Tensor, mode: Mode) -> Embeddings {
        self.forward_each(images, mode, |_| ())
    }

    /// Returns the embeddings of images; `inspect` is called with the output of each layer.
    fn forward_each(&self, images: &Tensor, mode: Mode, mut inspect: impl FnMut(&Tensor)) -> Embeddings {
        let mut x = images.shallow_clone();
        let (mut last_5, mut last_7) = (None, None);
        for layer in &self.layers {
            x = layer.forward(&x, mode);
            inspect(&x);
            match x.size()[2] {
                7 => last_7 = Some(x.shallow_clone()),
                5 => last_5 = Some(x.shallow_clone()),
                _ => {}
            }
        }
        let (at_5, at_7) = last_5.zip(last_7).expect("the trunk of this side passes through 7 and 5");
        Embeddings {
            r5: self.rkhs_block_5.forward(&at_5, mode),
            r7: self.rkhs_block_7.forward(&at_7, mode),
            r1: x,
        }
    }
}

impl Embedder for AmdimEncoder {
    fn embed(&self, views: &Tensor, norming: Norming) -> Vec<Tensor> {
        self.embed_views(views, norming).into()
    }

    fn embed_by_block(&self, images: &Tensor, norming: Norming) -> (Vec<Tensor>, Vec<Tensor>) {
        let (views, samples) = (images.size()[0], images.size()[1]);
        let mut inputs = vec![images.flatten(0, 1)];
        let mode = Mode::Training { views, norming: norming.kept() };
        let all = self.forward_each(&inputs[0].shallow_clone(), mode, |x| inputs.push(x.shallow_clone()));
        inputs.pop(); // the output of the last layer is the input of none
        (all.map(|embedding| embedding.unflatten(0, [views, samples])).into(), inputs)
    }

    fn backward_by_block(
        &self,
        inputs: Vec<Tensor>,
        views: i64,
        gradients: &[Tensor],
        norming: Norming,
        scope: &dyn Fn() -> Result<Option<Autocast>>,
    ) -> Result<()> {
        let mode = Mode::Training { views, norming };
        let [r1, r5, r7] = [0, 1, 2].map(|number: usize| gradients[number].flatten(0, 1));
        let (mut left_5, mut left_7) = (Some((&self.rkhs_block_5, r5)), Some((&self.rkhs_block_7, r7)));
        let mut gradient = r1;
        for (number, (layer, input)) in self.layers.iter().zip(inputs).enumerate().rev() {
            let input = input.detach().set_requires_grad(number > 0);
            let scope = scope()?;
            let output = layer.forward(&input, mode);
            // The head of a side is on the last layer of that side, the first that this loop meets.
            let head = match output.size()[2] {
                5 => left_5.take(),
                7 => left_7.take(),
                _ => None,
            };
            let embedding = head.map(|(head, gradient)| (head.forward(&output, mode), gradient));
            drop(scope);
            let product = |x: &Tensor, gradient: &Tensor| (x * gradient.to_kind(x.kind())).sum(Kind::Float);
            let mut total = product(&output, &gradient);
            if let Some((embedding, gradient)) = embedding {
                total += product(&embedding, &gradient);
            }
            total.backward();
            gradient = input.grad();
        }
        Ok(())
    }
}

impl Encoder for AmdimEncoder {
    fn features(&self, images: &Tensor, mode: Mode) -> Tensor {
        self.layers.iter().fold(images.shallow_clone(), |x, layer| layer.forward(&x, mode)).flatten(1, 3)
    }

    fn idle(&self) -> Vec<&Tensor> {
        let heads = [&self.rkhs_block_5, &self.rkhs_block_7].into_iter().flat_map(RkhsHead::parameters);
        self.layers.iter().flat_map(Layer::idle).chain(heads).collect()
    }

    fn blocks(&self) -> usize {
        self.layers.len()
    }

    fn block(&self, number: usize, x: &Tensor, mode: Mode) -> Tensor {
        let output = self.layers[number].forward(x, mode);
        if number + 1 == self.layers.len() { output.flatten(1, 3) } else { output }
    }

    fn elements(&self) -> i64 {
        let (mut side, mut most) = (self.side, self.pixels());
        for layer in &self.layers {
            most = most.max(layer.elements(side));
            side = layer.output_side(side);
        }
        most.max(49 * self.n_rkhs)
    }

    fn width(&self) -> i64 {
        self.n_rkhs
    }

    fn layers(&self) -> &'static [&'static str] {
        &["r1", "r5", "r7"]
    }

    fn pooled(&self, images: &Tensor, layer: &str) -> Tensor {
        if layer == "r1" {
            return self.features(images, Mode::Evaluation);
        }
        let Embeddings { r5, r7, .. } = self.embed(images, false);
        let locations = if layer == "r5" { r5 } else { r7 };
        locations.mean_dim([2i64, 3].as_slice(), false, None::<Kind>)
    }

    /// Includes the RKHS heads.
    fn macs(&self) -> u64 {
        let mut side = self.side;
        let mut macs = self.rkhs_block_5.macs(5) + self.rkhs_block_7.macs(7);
        for layer in &self.layers {
            macs += layer.macs(side);
            side = layer.output_side(side);
        }
        macs
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, nn::VarStore};

    use super::*;

    #[test]
    fn elements_counts_the_largest_activation_of_an_image() {
        let _alone = crate::testing::lock_generator();
        for side in [32, 64, 128] {
            let vars = VarStore::new(Device::Cpu);
            let config = Config { ndf: 24, n_rkhs: 32, n_depth: 2, use_bn: false };
            let encoder = AmdimEncoder::new(&vars.root(), side, &config);
            let image = Tensor::zeros([1, 3, side.into(), side.into()], (Kind::Float, Device::Cpu));
            let mut most = image.numel();
            encoder.forward_each(&image, Mode::Evaluation, |x| most = most.max(x.numel()));
            assert_eq!(encoder.elements(), most as i64, "side {side}");
        }
    }
}
