//! The AMDIM encoder (Bachman, Hjelm, Buchwalter 2019) for images of 32, 64 and 128 pixels.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor, nn::Path};
use torchkit::Autocast;

use super::{
    blocks::{Conv3x3, ConvResNxN, Layer, MaybeNorm, ResShape, RkhsHead, StemGeometry},
    interface::{Embedder, Encoder, EncoderSettings},
    norm::Mode,
};
pub(crate) use crate::encoder::blocks::cell_masks;
use crate::{
    numbers,
    settings::{Heading, Setting, settings, whole, yes_or_no},
    usage,
};

settings! {
    /// The size of the encoder. The defaults are those of the reference implementation.
    pub struct Config {
        /// Channels of the first layer.
        ndf: i64 = 128, whole(numbers::CHANNELS).flag(Heading::Model, "N");
        /// Channels of the embeddings.
        n_rkhs: i64 = 1024, whole(numbers::EMBEDDING).flag(Heading::Model, "N");
        /// Residual layers in each block.
        n_depth: i64 = 3, whole(numbers::DEPTH).flag(Heading::Model, "N");
        /// Batch norms inside the trunk.
        use_bn: bool = false, yes_or_no().flag(Heading::Model, "BOOL");
    }
}

impl EncoderSettings for Config {
    fn name(&self) -> &'static str {
        "amdim"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn flags(&self) -> String {
        let Self { ndf, n_rkhs, n_depth, use_bn } = self;
        format!("--ndf {ndf} --n-rkhs {n_rkhs} --n-depth {n_depth} --use-bn {use_bn}")
    }

    fn size_flags(&self) -> &'static str {
        "--ndf, --n-rkhs or --n-depth"
    }

    fn width(&self) -> i64 {
        self.n_rkhs
    }

    /// The last block pads its input with zero channels up to `n_rkhs`, so it cannot be narrower than its input.
    fn check(&self, side: u32) -> Result<()> {
        let widest = self.ndf.saturating_mul(if side == 32 { 4 } else { 8 });
        if self.n_rkhs >= widest {
            return Ok(());
        }
        Err(usage!(
            "`encoder.n_rkhs` is {}, but the last block of ndf {} has {widest} channels and cannot be made narrower",
            self.n_rkhs, self.ndf;
            "set --n-rkhs to {widest} or more, or lower --ndf"
        ))
    }

    fn check_tensors(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let Self { ndf, n_rkhs, n_depth, .. } = *self;
        for (name, size) in
            [("encoder.layer_list.0.conv.weight", ndf), ("encoder.rkhs_block_7.conv2.weight", n_rkhs)]
        {
            let found = tensors.get(name).and_then(|tensor| tensor.size().first().copied());
            let found = found.with_context(|| format!("`{name}` is missing"))?;
            ensure!(found == size, "`{name}` has {found} output channels, but the file declares {size}");
        }
        let has_layer = |layer: i64| {
            let name = format!(".layer_list.{layer}.conv2.weight");
            tensors.keys().any(|tensor| tensor.ends_with(&name))
        };
        ensure!(
            (1..1000).contains(&n_depth) && has_layer(n_depth - 1),
            "the file declares blocks of {n_depth} layers, but has no tensors of that many"
        );
        self.check_count(tensors.values().map(Tensor::numel).sum())
    }

    fn build(&self, path: &Path, side: u32) -> Box<dyn Encoder> {
        Box::new(AmdimEncoder::new(path, side, self))
    }
}

impl Config {
    /// Checks that a file of `numbers` numbers can hold an encoder of this size. The bound is lower than the true count, but grows
    /// with the size in the same way.
    fn check_count(&self, numbers: usize) -> Result<()> {
        let Self { ndf, n_rkhs, n_depth, .. } = *self;
        let product = |factors: [i64; 3]| factors.into_iter().fold(1, i64::saturating_mul);
        let least = product([n_rkhs, n_rkhs, 1]).saturating_add(product([ndf, ndf, 16 * n_depth]));
        ensure!(
            i64::try_from(numbers).is_ok_and(|numbers| numbers >= least),
            "its {numbers} numbers are too few for an encoder of ndf {ndf}, n_rkhs {n_rkhs} and n_depth {n_depth}"
        );
        Ok(())
    }
}

/// RKHS embeddings of a batch: `r1` (n, d, 1, 1), `r5` (n, d, 5, 5) and `r7` (n, d, 7, 7), where d is `n_rkhs`.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are the paper's symbols, described above")]
pub struct Embeddings {
    pub r1: Tensor,
    pub r5: Tensor,
    pub r7: Tensor,
}

impl Embeddings {
    /// Applies `f` to each of the three.
    #[must_use]
    pub fn map(&self, f: impl Fn(&Tensor) -> Tensor) -> Self {
        Self { r1: f(&self.r1), r5: f(&self.r5), r7: f(&self.r7) }
    }

    /// The embeddings of a list `[r1, r5, r7]`, sharing its memory.
    ///
    /// # Panics
    ///
    /// If the list has fewer than three tensors.
    pub fn from_list(list: &[Tensor]) -> Self {
        let [r1, r5, r7] = [0, 1, 2].map(|number: usize| list[number].shallow_clone());
        Self { r1, r5, r7 }
    }
}

impl From<Embeddings> for Vec<Tensor> {
    /// The list `[r1, r5, r7]`.
    fn from(Embeddings { r1, r5, r7 }: Embeddings) -> Self {
        vec![r1, r5, r7]
    }
}

/// A convolutional encoder with an RKHS head on its 7×7 and 5×5 layers, where the receptive fields of locations overlap little.
#[derive(Debug)]
pub struct AmdimEncoder {
    layers: Vec<Layer>,
    rkhs_block_5: RkhsHead,
    rkhs_block_7: RkhsHead,
    n_rkhs: i64,
    side: i64,
}

impl AmdimEncoder {
    /// A freshly initialized encoder for images of `side` 32, 64 or 128 pixels. Its tensors are named under `path` as in the reference
    /// implementation.
    ///
    /// # Panics
    ///
    /// If `side` is another number; a [`pipeline::Preset`] has one of these three.
    pub fn new(path: &Path, side: u32, config: &Config) -> Self {
        let &Config { ndf, n_rkhs, n_depth, use_bn } = config;
        let mut list = LayerList { path: path / "layer_list", layers: Vec::new(), n_depth, use_bn };
        let widest = match side {
            32 => list.trunk_32(ndf),
            64 => list.trunk_64(ndf),
            128 => list.trunk_128(ndf),
            other => panic!("no AMDIM encoder for side {other}"),
        };
        list.tail(widest, n_rkhs);
        Self {
            layers: list.layers,
            rkhs_block_5: RkhsHead::new(&(path / "rkhs_block_5"), widest, n_rkhs, use_bn),
            rkhs_block_7: RkhsHead::new(&(path / "rkhs_block_7"), widest, n_rkhs, use_bn),
            n_rkhs,
            side: side.into(),
        }
    }

    /// The number of values of an image: 3·side·side.
    pub fn pixels(&self) -> i64 {
        3 * self.side * self.side
    }

    /// The number of elements of the largest activation of one image.
    pub fn elements(&self) -> i64 {
        let along =
            |(side, most): (i64, i64), layer: &Layer| (layer.macs(side).0, most.max(layer.elements(side)));
        let (_, trunk) = self.layers.iter().fold((self.side, self.pixels()), along);
        trunk.max(49 * self.n_rkhs)
    }

    /// Embeddings of normalized images (n, 3, side, side).
    ///
    /// # Panics
    ///
    /// If the images have another side than those of the encoder.
    pub fn embed(&self, images: &Tensor, train: bool) -> Embeddings {
        self.forward(images, Mode::training_if(train))
    }

    /// Embeddings in training mode of views (v, n, 3, side, side): tensors of shape (v, n, …). The convolutions treat all views as one
    /// batch; batch norms treat each view by itself, in order, and update their running statistics if `moves` is true.
    ///
    /// # Panics
    ///
    /// If the images have another side than those of the encoder.
    pub fn embed_views(&self, images: &Tensor, moves: bool) -> Embeddings {
        let (views, samples) = (images.size()[0], images.size()[1]);
        let all = self.forward(&images.flatten(0, 1), Mode::Training { views, moves });
        all.map(|embedding| embedding.unflatten(0, [views, samples]))
    }

    fn forward(&self, images: &Tensor, mode: Mode) -> Embeddings {
        self.forward_each(images, mode, |_| ())
    }

    /// The embeddings of images; `inspect` is called with the output of each layer.
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
    fn embed(&self, views: &Tensor, moves: bool) -> Vec<Tensor> {
        self.embed_views(views, moves).into()
    }

    fn embed_by_block(&self, images: &Tensor) -> (Vec<Tensor>, Vec<Tensor>) {
        let (views, samples) = (images.size()[0], images.size()[1]);
        let mut inputs = vec![images.flatten(0, 1)];
        let all =
            self.forward_each(&inputs[0].shallow_clone(), Mode::Training { views, moves: false }, |x| {
                inputs.push(x.shallow_clone());
            });
        inputs.pop(); // the output of the last layer is the input of none
        (all.map(|embedding| embedding.unflatten(0, [views, samples])).into(), inputs)
    }

    fn backward_by_block(
        &self,
        inputs: Vec<Tensor>,
        views: i64,
        gradients: &[Tensor],
        scope: &dyn Fn() -> Result<Option<Autocast>>,
    ) -> Result<()> {
        let mode = Mode::Training { views, moves: true };
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
        let add = |(side, macs), layer: &Layer| {
            let (side, more) = layer.macs(side);
            (side, macs + more)
        };
        let (_, trunk) = self.layers.iter().fold((self.side, 0), add);
        trunk + self.rkhs_block_5.macs(5) + self.rkhs_block_7.macs(7)
    }
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
