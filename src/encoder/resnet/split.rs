//! Two `ResNets`, one for the lightness and one for the colour of an image.

use tch::{Tensor, nn::Path};

use super::{
    colors::Split,
    config::Config,
    network::{Depth, ResNet},
};
use crate::encoder::{interface::Encoder, norm::Mode};

/// Two networks whose features are concatenated, that of the lightness first (Tian et al. 2019, "Contrastive
/// multiview coding"). Images have red, green and blue from 0 to 1.
#[derive(Debug)]
pub struct SplitNetwork {
    split: Split,
    networks: [ResNet; 2],
}

impl SplitNetwork {
    /// The names of the networks: each predicts the channels of the other.
    pub const NAMES: [&str; 2] = ["l_to_ab", "ab_to_l"];

    /// Returns freshly initialized networks for images of `side` pixels. Their tensors are named under
    /// [`NAMES`](Self::NAMES) under `path`.
    pub fn new(path: &Path, depth: Depth, side: i64, config: &Config) -> Self {
        let network = |number: usize| {
            let channels = [1, 2][number];
            ResNet::new(&(path / Self::NAMES[number]), depth, [channels, side], config)
        };
        Self { split: config.split, networks: [network(0), network(1)] }
    }

    /// Returns the outputs of both networks for their inputs, concatenated by channels.
    fn joined(&self, inputs: &[Tensor], forward: impl Fn(&ResNet, &Tensor) -> Tensor) -> Tensor {
        let outputs: Vec<_> =
            self.networks.iter().zip(inputs).map(|(network, input)| forward(network, input)).collect();
        Tensor::cat(&outputs, 1)
    }

    /// Returns the features of lightness and colour as [`Split::channels`] returns them.
    pub fn features_of(&self, channels: &[Tensor; 2], mode: Mode) -> Tensor {
        self.joined(channels, |network, x| network.features(x, mode))
    }

    fn channels(&self, images: &Tensor) -> [Tensor; 2] {
        tch::no_grad(|| self.split.channels(images))
    }
}

impl Encoder for SplitNetwork {
    fn features(&self, images: &Tensor, mode: Mode) -> Tensor {
        self.features_of(&self.channels(images), mode)
    }

    fn blocks(&self) -> usize {
        self.networks[0].blocks()
    }

    fn block(&self, number: usize, x: &Tensor, mode: Mode) -> Tensor {
        let forward = |network: &ResNet, x: &Tensor| network.block(number, x, mode);
        if number == 0 {
            self.joined(&self.channels(x), forward)
        } else {
            self.joined(&x.chunk(2, 1), forward)
        }
    }

    fn elements(&self) -> i64 {
        self.networks.iter().map(Encoder::elements).sum()
    }

    fn width(&self) -> i64 {
        self.networks.iter().map(Encoder::width).sum()
    }

    fn layers(&self) -> &'static [&'static str] {
        self.networks[0].layers()
    }

    fn pooled(&self, images: &Tensor, layer: &str) -> Tensor {
        self.joined(&self.channels(images), |network, x| network.pooled(x, layer))
    }

    fn macs(&self) -> u64 {
        self.networks.iter().map(Encoder::macs).sum()
    }

    fn cost_at(&self, side: i64) -> (i64, u64) {
        let costs = self.networks.iter().map(|network| network.cost_at(side));
        costs.fold((0, 0), |(elements, macs), (more, also)| (elements + more, macs + also))
    }
}
