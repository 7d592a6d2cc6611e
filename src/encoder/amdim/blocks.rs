//! The blocks of AMDIM's encoder. Their tensors have the names of the reference implementation.

use tch::{Kind, Tensor, nn::Path};
use torchkit::Piece;

use crate::encoder::{
    init::{buffer, parameter, uniform_fan_in},
    norm::{Mode, Norm},
};

/// A convolution with bias and ReLU, without batch norm.
#[derive(Debug)]
pub(super) struct Conv3x3 {
    weight: Tensor,
    bias: Tensor,
    geometry: StemGeometry,
}

/// The window of a stem convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct StemGeometry {
    pub(super) kernel: i64,
    pub(super) stride: i64,
    /// The width of the reflected border on each side, in pixels.
    pub(super) reflect: i64,
}

impl Conv3x3 {
    pub(super) fn new(path: &Path, input: i64, output: i64, geometry: StemGeometry) -> Self {
        let path = path / "conv";
        let side = geometry.kernel;
        let fan_in = input * side * side;
        Self {
            weight: uniform_fan_in(&path, "weight", &[output, input, side, side], fan_in),
            bias: uniform_fan_in(&path, "bias", &[output], fan_in),
            geometry,
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let StemGeometry { stride, reflect, .. } = self.geometry;
        let padded = match reflect {
            0 => x.shallow_clone(),
            border => x.reflection_pad2d([border; 4]),
        };
        if Piece::Convolutions.is_fused() {
            return torchkit::convolution_relu(&padded, &self.weight, &self.bias, stride);
        }
        padded.conv2d(&self.weight, Some(&self.bias), [stride; 2], [0; 2], [1; 2], 1).relu()
    }

    /// See [`Layer::output_side`].
    fn output_side(&self, side: i64) -> i64 {
        let StemGeometry { kernel, stride, reflect } = self.geometry;
        (side + 2 * reflect - kernel) / stride + 1
    }

    /// See [`Layer::macs`].
    fn macs(&self, side: i64) -> u64 {
        pixel_macs(&self.weight, self.output_side(side))
    }

    /// See [`Layer::elements`].
    fn elements(&self, side: i64) -> i64 {
        let (output, input) = (self.weight.size()[0], self.weight.size()[1]);
        let (padded, after) = (side + 2 * self.geometry.reflect, self.output_side(side));
        (input * padded * padded).max(output * after * after)
    }
}

/// A batch norm that may be switched off. Its tensors exist in either case, as in the checkpoints of the
/// reference implementation.
#[derive(Debug)]
pub(super) struct MaybeNorm {
    norm: Norm,
    on: bool,
}

impl MaybeNorm {
    pub(super) fn new(path: &Path, channels: i64, on: bool) -> Self {
        Self { norm: Norm::new(&(path / "bn"), channels), on }
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        if self.on { self.norm.forward(x, mode) } else { x.shallow_clone() }
    }

    /// Iterates over the parameters of a norm that is off.
    fn idle(&self) -> impl Iterator<Item = &Tensor> {
        self.norm.parameters().filter(|_| !self.on)
    }
}

/// A residual block without padding: a w×w convolution, norm, ReLU and a 1×1 convolution, added to an average
/// pooling of the input.
#[derive(Debug)]
pub(super) struct ConvResNxN {
    conv1: Tensor,
    bn1: MaybeNorm,
    conv2: Tensor,
    shape: ResShape,
}

/// Channels and window of a residual block.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResShape {
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) width: i64,
    pub(super) stride: i64,
}

impl ConvResNxN {
    pub(super) fn new(path: &Path, shape: ResShape, use_bn: bool) -> Self {
        let ResShape { input, output, width, .. } = shape;
        let kernel = [output, input, width, width];
        Self {
            conv1: uniform_fan_in(&(path / "conv1"), "weight", &kernel, input * width * width),
            bn1: MaybeNorm::new(&(path / "bn1"), output, use_bn),
            conv2: zero_1x1(&(path / "conv2"), output),
            shape,
        }
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let stride = self.shape.stride;
        if self.keeps_the_shape() {
            let pixels = rows(x);
            let hidden = pointwise_norm_relu(&pixels, &self.conv1, &self.bn1, mode);
            return pixels_to_images(&self.residual(&hidden, &pixels), &x.size());
        }
        if self.is_fused() {
            return torchkit::reshaping_residual(x, &self.conv1, &self.conv2, stride);
        }
        let hidden = x.conv2d(&self.conv1, None::<Tensor>, [stride; 2], [0; 2], [1; 2], 1);
        let activated = self.bn1.forward(&rows(&hidden), mode).relu();
        pixels_to_images(&self.residual(&activated, &rows(&self.skip(x))), &hidden.size())
    }

    /// See [`Layer::output_side`].
    fn output_side(&self, side: i64) -> i64 {
        (side - self.shape.width) / self.shape.stride + 1
    }

    /// See [`Layer::macs`].
    fn macs(&self, side: i64) -> u64 {
        let after = self.output_side(side);
        pixel_macs(&self.conv1, after) + pixel_macs(&self.conv2, after)
    }

    /// See [`Layer::elements`].
    fn elements(&self, side: i64) -> i64 {
        let after = self.output_side(side);
        self.shape.output * after * after
    }

    /// Returns whether the output has the shape of the input, pixel by pixel.
    fn keeps_the_shape(&self) -> bool {
        let ResShape { input, output, width, stride } = self.shape;
        (width, stride, input) == (1, 1, output)
    }

    /// Returns whether the layer can be one of several that are computed as one operation.
    fn is_link(&self) -> bool {
        self.keeps_the_shape() && self.is_fused()
    }

    /// Returns whether the layer, which must have no batch norm, is computed as one operation.
    fn is_fused(&self) -> bool {
        !self.bn1.on && Piece::Products.is_fused()
    }

    /// Adds the 1×1 convolution of pixels (m, c) to `skip`, in one matrix product.
    fn residual(&self, hidden: &Tensor, skip: &Tensor) -> Tensor {
        skip.addmm(hidden, &matrix(&self.conv2))
    }

    fn skip(&self, x: &Tensor) -> Tensor {
        let ResShape { input, output, width, stride } = self.shape;
        let pooled = match (width, stride) {
            (1, 1) => x.shallow_clone(),
            _ => x.avg_pool2d([width; 2], [stride; 2], [0; 2], false, true, None::<i64>),
        };
        if output == input { pooled } else { pooled.constant_pad_nd([0, 0, 0, 0, 0, output - input]) }
    }
}

/// Returns the pixels (n·h·w, c) of images (n, c, h, w). Channels-last images are not copied.
fn rows(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).flatten(0, 2)
}

/// Channels-last images (n, c, h, w) of pixels (n·h·w, c); n, h and w are those of `size`.
fn pixels_to_images(pixels: &Tensor, size: &[i64]) -> Tensor {
    pixels.view([size[0], size[2], size[3], -1]).permute([0, 3, 1, 2])
}

/// Returns the multiply-accumulates of a convolution whose output has side×side pixels.
fn pixel_macs(weight: &Tensor, side: i64) -> u64 {
    weight.numel() as u64 * (side * side).cast_unsigned()
}

/// Returns the matrix (in, out) by which a 1×1 convolution with this weight (out, in, 1, 1) multiplies pixels
/// (m, in).
fn matrix(weight: &Tensor) -> Tensor {
    weight.flatten(1, 3).transpose(0, 1)
}

/// Returns a 1×1 convolution of pixels (m, in), then norm and ReLU.
fn pointwise_norm_relu(pixels: &Tensor, weight: &Tensor, norm: &MaybeNorm, mode: Mode) -> Tensor {
    norm.forward(&pixels.matmul(&matrix(weight)), mode).relu()
}

/// Returns the output of layers one after the other.
fn forward_all(layers: &[ConvResNxN], x: &Tensor, mode: Mode) -> Tensor {
    let runs = layers.chunk_by(|a, b| a.is_link() && b.is_link());
    runs.fold(x.shallow_clone(), |x, run| match run {
        [link, ..] if link.is_link() => forward_chain(run, &x),
        _ => run.iter().fold(x, |x, layer| layer.forward(&x, mode)),
    })
}

/// Returns the output of layers that keep the shape, computed as one operation.
fn forward_chain(layers: &[ConvResNxN], x: &Tensor) -> Tensor {
    let weights: Vec<_> = layers.iter().map(|layer| [&layer.conv1, &layer.conv2]).collect();
    pixels_to_images(&torchkit::residual_chain(&rows(x), &weights), &x.size())
}

/// Returns the weight of a 1×1 convolution that is zero at first, so that a residual branch starts as zero.
fn zero_1x1(path: &Path, channels: i64) -> Tensor {
    let zeros = Tensor::zeros([channels, channels, 1, 1], (Kind::Float, tch::Device::Cpu));
    parameter(path, "weight", &zeros)
}

/// Returns one [`ConvResNxN`] that changes the shape, followed by `depth` − 1 of width 1 that keep it.
fn res_block(path: &Path, shape: ResShape, depth: i64, use_bn: bool) -> Vec<ConvResNxN> {
    let path = path / "layer_list";
    let keeping = ResShape { input: shape.output, output: shape.output, width: 1, stride: 1 };
    (0..depth).map(|k| ConvResNxN::new(&(&path / k), if k == 0 { shape } else { keeping }, use_bn)).collect()
}

/// One entry of the encoder's layer list.
#[derive(Debug)]
pub(super) enum Layer {
    Stem(Conv3x3),
    Res(ConvResNxN),
    Block(Vec<ConvResNxN>),
    Norm(MaybeNorm),
}

impl Layer {
    pub(super) fn block(path: &Path, shape: ResShape, depth: i64, use_bn: bool) -> Self {
        Self::Block(res_block(path, shape, depth, use_bn))
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match self {
            Self::Stem(stem) => stem.forward(x),
            Self::Res(res) => forward_all(std::slice::from_ref(res), x, mode),
            Self::Block(block) => forward_all(block, x, mode),
            Self::Norm(norm) => norm.forward(x, mode),
        }
    }

    /// Returns the parameters that the output does not depend on: those of norms that are off.
    pub(super) fn idle(&self) -> Vec<&Tensor> {
        match self {
            Self::Stem(_) => vec![],
            Self::Res(res) => res.bn1.idle().collect(),
            Self::Block(block) => block.iter().flat_map(|res| res.bn1.idle()).collect(),
            Self::Norm(norm) => norm.idle().collect(),
        }
    }

    /// Returns the side of the output for an input of `side`.
    pub(super) fn output_side(&self, side: i64) -> i64 {
        match self {
            Self::Stem(stem) => stem.output_side(side),
            Self::Res(res) => res.output_side(side),
            Self::Block(block) => block.iter().fold(side, |side, res| res.output_side(side)),
            Self::Norm(_) => side,
        }
    }

    /// Returns the multiply-accumulates of the layer's convolutions for an input of `side`.
    pub(super) fn macs(&self, mut side: i64) -> u64 {
        match self {
            Self::Stem(stem) => stem.macs(side),
            Self::Res(res) => res.macs(side),
            Self::Block(block) => {
                let of_one = |res: &ConvResNxN| {
                    let macs = res.macs(side);
                    side = res.output_side(side);
                    macs
                };
                block.iter().map(of_one).sum()
            }
            Self::Norm(_) => 0,
        }
    }

    /// Returns the number of elements of the largest activation of one image of `side` in this layer.
    pub(super) fn elements(&self, side: i64) -> i64 {
        match self {
            Self::Stem(stem) => stem.elements(side),
            Self::Res(res) => res.elements(side),
            Self::Block(block) => block.first().map_or(0, |res| res.elements(side)), // the others keep the shape
            Self::Norm(_) => 0,
        }
    }
}

/// A head that maps the activations of a layer to embeddings of `n_rkhs` channels, location by location.
#[derive(Debug)]
pub(super) struct RkhsHead {
    conv1: Tensor,
    bn_hid: MaybeNorm,
    conv2: Tensor,
    shortcut: Tensor,
    shortcut_bias: Tensor,
    bn_out: MaybeNorm,
}

impl RkhsHead {
    pub(super) fn new(path: &Path, input: i64, n_rkhs: i64, use_bn: bool) -> Self {
        let shortcut = path / "shortcut";
        Self {
            conv1: uniform_fan_in(&(path / "conv1"), "weight", &[n_rkhs, input, 1, 1], input),
            bn_hid: MaybeNorm::new(&(path / "bn_hid"), n_rkhs, use_bn),
            conv2: zero_1x1(&(path / "conv2"), n_rkhs),
            shortcut: shortcut_weight(&shortcut, input, n_rkhs),
            shortcut_bias: uniform_fan_in(&shortcut, "bias", &[n_rkhs], input),
            bn_out: MaybeNorm::new(&(path / "bn_out"), n_rkhs, true),
        }
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let pixels = rows(x);
        let sum = if !self.bn_hid.on && Piece::Products.is_fused() {
            let weights = [&self.conv1, &self.conv2];
            torchkit::residual_head(&pixels, weights, &self.shortcut, &self.shortcut_bias)
        } else {
            let hidden = pointwise_norm_relu(&pixels, &self.conv1, &self.bn_hid, mode);
            let shortcut = self.shortcut_bias.addmm(&pixels, &matrix(&self.shortcut));
            shortcut.addmm(&hidden, &matrix(&self.conv2))
        };
        pixels_to_images(&self.bn_out.forward(&sum, mode), &x.size())
    }

    /// Iterates over the parameters that the embeddings do not depend on: those of a norm that is off.
    pub(super) fn idle(&self) -> impl Iterator<Item = &Tensor> {
        self.bn_hid.idle()
    }

    /// Iterates over all parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &Tensor> {
        let norms = [&self.bn_hid, &self.bn_out].into_iter().flat_map(|norm| norm.norm.parameters());
        [&self.conv1, &self.conv2, &self.shortcut, &self.shortcut_bias].into_iter().chain(norms)
    }

    /// Returns the multiply-accumulates for an input of this side.
    pub(super) fn macs(&self, side: i64) -> u64 {
        [&self.conv1, &self.conv2, &self.shortcut].map(|weight| pixel_macs(weight, side)).iter().sum()
    }
}

/// Returns the weight of the shortcut: the identity plus small noise, if the embedding is at least as wide as
/// its input.
fn shortcut_weight(path: &Path, input: i64, n_rkhs: i64) -> Tensor {
    if n_rkhs < input {
        return uniform_fan_in(path, "weight", &[n_rkhs, input, 1, 1], input);
    }
    let on_cpu = (Kind::Float, tch::Device::Cpu);
    let noise = Tensor::empty([n_rkhs, input], on_cpu).uniform_(-0.01, 0.01);
    let diagonal = Tensor::eye_m(n_rkhs, input, on_cpu);
    let weight: Tensor = noise * (1.0 - &diagonal) + diagonal;
    parameter(path, "weight", &weight.view([n_rkhs, input, 1, 1]))
}

/// Returns masks (side², 1, side, side), u8, that each select one cell: mask i·side + j is one at cell (i,
/// j). The reference implementation saves them in its checkpoints.
pub(crate) fn cell_masks(path: &Path, name: &str, side: i64) -> Tensor {
    let ones = Tensor::eye(side * side, (Kind::Uint8, tch::Device::Cpu));
    buffer(path, name, &ones.view([side * side, 1, side, side]))
}
