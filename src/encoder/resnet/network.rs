//! The network of a ResNet.

use tch::{Kind, Tensor, nn::Path};

use super::{
    blocks::{Block, BlockShape, ConvNorm, Window},
    config::Config,
};
use crate::encoder::{interface::Encoder, norm::Mode};

/// The number of layers of a ResNet (He et al. 2016, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// 18 layers: two blocks of two convolutions in each stage.
    D18,
    /// 34 layers: blocks of two convolutions, 3, 4, 6 and 3 in the stages.
    D34,
    /// 50 layers: blocks of three convolutions ("bottlenecks"), 3, 4, 6 and 3 in the stages.
    D50,
}

impl Depth {
    fn blocks(self) -> [usize; 4] {
        match self {
            Self::D18 => [2, 2, 2, 2],
            Self::D34 | Self::D50 => [3, 4, 6, 3],
        }
    }

    /// Returns the channels of the features of a network whose first stage has `width` channels.
    pub fn features(self, width: i64) -> i64 {
        let expansion = if self == Self::D50 { 4 } else { 1 };
        8 * expansion * width
    }
}

/// A ResNet with the names, the strides and the initialization of torchvision, without `fc`. Its features are
/// the mean of the last stage over all locations.
#[derive(Debug)]
pub struct ResNet {
    stem: ConvNorm,
    pools: bool,
    stages: [Vec<Block>; 4],
    /// Channels and side of the images.
    input: [i64; 2],
    width: i64,
}

impl ResNet {
    /// Returns a freshly initialized network for images of `channels` channels and `side` pixels. Its tensors
    /// are named under `path`.
    pub fn new(path: &Path, depth: Depth, [channels, side]: [i64; 2], config: &Config) -> Self {
        let &Config { width, stem, stem_width, zero_init_residual, .. } = config;
        let first = stem_width.unwrap_or(width);
        let keeps_size = stem.keeps_size(side);
        let (kernel, stride) = if keeps_size { (3, 1) } else { (7, 2) };
        let window = Window { input: channels, output: first, kernel, stride };
        let stem = ConvNorm::new(&(path / "conv1"), &(path / "bn1"), window);
        let mut input = first;
        let stages = [0, 1, 2, 3].map(|stage: usize| {
            let path = path / format!("layer{}", stage + 1);
            let block = |number: usize| {
                let stride = if number == 0 && stage > 0 { 2 } else { 1 };
                let planes = width << stage;
                let shape = BlockShape { input, planes, stride, is_bottleneck: depth == Depth::D50 };
                input = shape.output();
                Block::new(&(&path / number), shape, zero_init_residual)
            };
            (0..depth.blocks()[stage]).map(block).collect()
        });
        Self { stem, pools: !keeps_size, stages, input: [channels, side], width: depth.features(width) }
    }

    /// Returns the output of the stem: convolution, norm, ReLU and pooling.
    fn begin(&self, images: &Tensor, mode: Mode) -> Tensor {
        let x = self.stem.forward_relu(images, None, mode);
        if self.pools { x.max_pool2d([3; 2], [2; 2], [1; 2], [1; 2], false) } else { x }
    }

    fn blocks_in_order(&self) -> impl Iterator<Item = &Block> {
        self.stages.iter().flatten()
    }

    /// Returns the side of the input of the first stage for images of `side` pixels.
    fn first_side(&self, side: i64) -> i64 {
        let side = self.stem.output_side(side);
        if self.pools { (side - 1) / 2 + 1 } else { side }
    }

    /// Returns all blocks, each with the side of its input, for images of `side` pixels.
    fn on_sides(&self, side: i64) -> impl Iterator<Item = (&Block, i64)> {
        let mut side = self.first_side(side);
        self.blocks_in_order().map(move |block| {
            let input = side;
            side = block.output_side(input);
            (block, input)
        })
    }
}

/// Returns the mean of maps (n, c, h, w) over all locations, (n, c).
fn averaged(maps: &Tensor) -> Tensor {
    maps.mean_dim([2i64, 3].as_slice(), false, None::<Kind>)
}

impl Encoder for ResNet {
    fn features(&self, images: &Tensor, mode: Mode) -> Tensor {
        let first = self.begin(images, mode);
        averaged(&self.blocks_in_order().fold(first, |x, block| block.forward(&x, mode)))
    }

    /// The stem, the residual blocks, and the mean over locations.
    fn blocks(&self) -> usize {
        self.blocks_in_order().count() + 2
    }

    fn block(&self, number: usize, x: &Tensor, mode: Mode) -> Tensor {
        let Some(number) = number.checked_sub(1) else { return self.begin(x, mode) };
        match self.blocks_in_order().nth(number) {
            Some(block) => block.forward(x, mode),
            None => averaged(x),
        }
    }

    fn elements(&self) -> i64 {
        self.cost_at(self.input[1]).0
    }

    fn width(&self) -> i64 {
        self.width
    }

    fn layers(&self) -> &'static [&'static str] {
        &["layer4", "layer3", "layer2", "layer1"]
    }

    fn pooled(&self, images: &Tensor, layer: &str) -> Tensor {
        let last = self.layers().iter().position(|name| *name == layer).map_or(4, |from_end| 4 - from_end);
        let first = self.begin(images, Mode::Evaluation);
        let blocks = self.stages[..last].iter().flatten();
        averaged(&blocks.fold(first, |x, block| block.forward(&x, Mode::Evaluation)))
    }

    fn macs(&self) -> u64 {
        self.cost_at(self.input[1]).1
    }

    fn cost_at(&self, side: i64) -> (i64, u64) {
        let pixels = self.input[0] * side * side;
        let first = (self.stem.elements(side).max(pixels), self.stem.macs(side));
        self.on_sides(side).fold(first, |(most, macs), (block, side)| {
            (most.max(block.elements(side)), macs + block.macs(side))
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, nn::VarStore};

    use super::*;

    #[test]
    fn the_cost_of_another_side_is_that_of_a_network_for_it() {
        let _alone = crate::testing::lock_generator();
        for depth in [Depth::D18, Depth::D50] {
            let config = Config { width: 4, ..Config::default() };
            let of = |side| ResNet::new(&VarStore::new(Device::Cpu).root(), depth, [3, side], &config);
            let (large, small) = (of(224), of(97));
            assert_eq!(large.cost_at(97), (small.elements(), small.macs()));
            assert!(large.macs() > 4 * small.macs());
        }
    }
}
