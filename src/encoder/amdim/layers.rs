//! The layers of the trunk, by the side of the images.

use tch::nn::Path;

use super::{
    blocks::{Conv3x3, ConvResNxN, Layer, MaybeNorm, ResShape, StemGeometry},
    config::Config,
};

/// Builds the layers for images of `side` 32, 64 or 128 pixels, and returns them with the channels of the 7×7
/// and 5×5 layers. Their tensors are named under `path`.
///
/// # Panics
///
/// If `side` is another number.
pub(super) fn layers(path: &Path, side: u32, config: &Config) -> (Vec<Layer>, i64) {
    let &Config { ndf, n_rkhs, n_depth, use_bn } = config;
    let mut list = LayerList { path: path / "layer_list", layers: Vec::new(), n_depth, use_bn };
    let widest = match side {
        32 => list.trunk_32(ndf),
        64 => list.trunk_64(ndf),
        128 => list.trunk_128(ndf),
        other => panic!("no AMDIM encoder for side {other}"),
    };
    list.tail(widest, n_rkhs);
    (list.layers, widest)
}

/// The layers under construction. The name of a layer is its number.
struct LayerList<'a> {
    path: Path<'a>,
    layers: Vec<Layer>,
    n_depth: i64,
    use_bn: bool,
}

impl<'a> LayerList<'a> {
    fn next(&self) -> Path<'a> {
        &self.path / self.layers.len()
    }

    fn stem(&mut self, input: i64, output: i64, geometry: StemGeometry) {
        let stem = Conv3x3::new(&self.next(), input, output, geometry);
        self.layers.push(Layer::Stem(stem));
    }

    fn res(&mut self, shape: ResShape) {
        let res = ConvResNxN::new(&self.next(), shape, self.use_bn);
        self.layers.push(Layer::Res(res));
    }

    fn block(&mut self, input: i64, output: i64, width: i64, stride: i64) {
        let shape = ResShape { input, output, width, stride };
        let block = Layer::block(&self.next(), shape, self.n_depth, self.use_bn);
        self.layers.push(block);
    }

    fn norm(&mut self, channels: i64, on: bool) {
        let norm = MaybeNorm::new(&self.next(), channels, on);
        self.layers.push(Layer::Norm(norm));
    }

    /// Adds the layers of sides 32 → 30 → 30 → 14 → 7 and returns the number of channels of the last.
    fn trunk_32(&mut self, ndf: i64) -> i64 {
        self.stem(3, ndf, StemGeometry { kernel: 3, stride: 1, reflect: 0 });
        self.res(ResShape { input: ndf, output: ndf, width: 1, stride: 1 });
        self.block(ndf, 2 * ndf, 4, 2);
        self.block(2 * ndf, 4 * ndf, 2, 2);
        4 * ndf
    }

    /// Adds the layers of sides 64 → 62 → 30 → 14 → 7 and returns the number of channels of the last.
    fn trunk_64(&mut self, ndf: i64) -> i64 {
        self.stem(3, ndf, StemGeometry { kernel: 3, stride: 1, reflect: 0 });
        self.blocks_62_to_7(ndf)
    }

    /// Adds the layers of sides 128 → 64 → 62 → 30 → 14 → 7 and returns the number of channels of the last.
    fn trunk_128(&mut self, ndf: i64) -> i64 {
        self.stem(3, ndf, StemGeometry { kernel: 5, stride: 2, reflect: 2 });
        self.stem(ndf, ndf, StemGeometry { kernel: 3, stride: 1, reflect: 0 });
        self.blocks_62_to_7(ndf)
    }

    fn blocks_62_to_7(&mut self, ndf: i64) -> i64 {
        self.block(ndf, 2 * ndf, 4, 2);
        self.block(2 * ndf, 4 * ndf, 4, 2);
        self.block(4 * ndf, 8 * ndf, 2, 2);
        8 * ndf
    }

    /// Adds the layers of sides 7 → 5 → 3 → 1. The last has `n_rkhs` channels and always a batch norm.
    fn tail(&mut self, widest: i64, n_rkhs: i64) {
        self.norm(widest, self.use_bn);
        self.block(widest, widest, 3, 1);
        self.block(widest, widest, 3, 1);
        self.res(ResShape { input: widest, output: n_rkhs, width: 3, stride: 1 });
        self.norm(n_rkhs, true);
    }
}
