//! The encoder of patches.

use tch::{Kind, Tensor, nn::Path};

use super::{
    blocks::{Block, BlockShape, Conv},
    config::Config,
};
use crate::encoder::{interface::Encoder, norm::Mode};

/// A residual network without norms that encodes overlapping patches of an image separately. The features
/// are the mean of the embeddings z over the grid of patches.
#[derive(Debug)]
pub struct CpcEncoder {
    conv1: Conv,
    blocks: Vec<Block>,
    patch: i64,
    rows: i64,
    width: i64,
}

impl CpcEncoder {
    /// Returns a freshly initialized encoder for images of `side` pixels. Its tensors are named under `path` as
    /// in the reference implementation.
    pub fn new(path: &Path, side: u32, config: &Config) -> Self {
        let path = path / "model";
        Self {
            conv1: Conv::new(&(&path / "Conv1"), [config.width, 3, 5, 5], 1),
            blocks: blocks(&path, config),
            patch: config.patch(side),
            rows: config.rows(side),
            width: config.channels(),
        }
    }

    /// Returns the number of rows, and of columns, of the grid of patches.
    pub fn rows(&self) -> i64 {
        self.rows
    }

    /// Returns the patches (n·r·r, 3, p, p) of images (n, 3, h, w): the image varies slowest, then the row.
    fn patches(&self, images: &Tensor) -> Tensor {
        let (patch, step) = (self.patch, self.patch / 2);
        let patches = images.unfold(2, patch, step).unfold(3, patch, step);
        patches.permute([0, 2, 3, 4, 5, 1]).reshape([-1, patch, patch, 3]).permute([0, 3, 1, 2])
    }

    /// Returns the embeddings z (n, width, r, r) of the activations (n·r·r, width, h, w) of the last block.
    fn grid(&self, maps: &Tensor) -> Tensor {
        let mean = maps.mean_dim([2i64, 3].as_slice(), false, None::<Kind>);
        mean.view([-1, self.rows, self.rows, self.width]).permute([0, 3, 1, 2])
    }

    /// Returns the output of one block: block 0 cuts images into patches, and the last one returns the
    /// embeddings z (n, width, r, r).
    pub fn part(&self, number: usize, x: &Tensor) -> Tensor {
        let maps = match number.checked_sub(1) {
            None => self.conv1.forward(&self.patches(x)),
            Some(number) => self.blocks[number].forward(x),
        };
        if number == self.blocks.len() { self.grid(&maps) } else { maps }
    }

    /// Returns embeddings z (n, width, r, r) of images (n, 3, h, w), in rows and columns of patches.
    pub fn embed(&self, images: &Tensor) -> Tensor {
        (0..self.blocks()).fold(images.shallow_clone(), |x, number| self.part(number, &x))
    }
}

/// Returns the residual blocks of all stages. The first of each stage but the first halves the side.
fn blocks(path: &Path, config: &Config) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut input = config.width;
    for (stage, count) in config.stages.into_iter().enumerate() {
        let path = path / format!("layer {stage}");
        for number in 0..count {
            let stride = if number == 0 && stage > 0 { 2 } else { 1 };
            let inner = config.width << stage;
            let shape = BlockShape { input, inner, stride, bottleneck: config.bottleneck };
            blocks.push(Block::new(&(&path / number), shape));
            input = shape.output();
        }
    }
    blocks
}

/// Returns the mean (n, d) of the embeddings (n, d, r, r) of all patches.
fn mean(z: &Tensor) -> Tensor {
    z.mean_dim([2i64, 3].as_slice(), false, None::<Kind>)
}

impl Encoder for CpcEncoder {
    fn features(&self, images: &Tensor, _mode: Mode) -> Tensor {
        mean(&self.embed(images))
    }

    fn blocks(&self) -> usize {
        self.blocks.len() + 1
    }

    fn block(&self, number: usize, x: &Tensor, _mode: Mode) -> Tensor {
        let output = self.part(number, x);
        if number == self.blocks.len() { mean(&output) } else { output }
    }

    fn elements(&self) -> i64 {
        let mut side = self.patch;
        let mut most = (3 * side * side).max(self.conv1.elements(side));
        for block in &self.blocks {
            most = most.max(block.elements(side));
            side = block.output_side(side);
        }
        most * self.rows * self.rows
    }

    fn width(&self) -> i64 {
        self.width
    }

    fn layers(&self) -> &'static [&'static str] {
        &["z"]
    }

    fn pooled(&self, images: &Tensor, _layer: &str) -> Tensor {
        self.features(images, Mode::Evaluation)
    }

    fn macs(&self) -> u64 {
        let mut side = self.patch;
        let mut macs = self.conv1.macs(side);
        for block in &self.blocks {
            macs += block.macs(side);
            side = block.output_side(side);
        }
        macs * (self.rows * self.rows).cast_unsigned()
    }
}
