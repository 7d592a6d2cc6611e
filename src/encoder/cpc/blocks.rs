//! Convolutions with bias, and residual blocks without norms: a batch norm would pass information between the
//! patches.

use tch::{Tensor, nn::Path};

use crate::encoder::init::uniform_fan_in;

/// A convolution with bias. Padding keeps the side of the input if the stride is 1.
#[derive(Debug)]
pub(super) struct Conv {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
}

impl Conv {
    /// Returns the parameters.
    pub(super) fn parameters(&self) -> [&Tensor; 2] {
        [&self.weight, &self.bias]
    }

    /// Returns a convolution with a kernel of `shape` (out, in, h, w). Its tensors are named under `path`.
    pub(super) fn new(path: &Path, shape: [i64; 4], stride: i64) -> Self {
        let [output, input, h, w] = shape;
        let fan_in = input * h * w;
        Self {
            weight: uniform_fan_in(path, "weight", &shape, fan_in),
            bias: uniform_fan_in(path, "bias", &[output], fan_in),
            stride,
        }
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        if self.weight.size()[2..] == [1, 1] {
            return self.pointwise(x);
        }
        let [h, w] = [2, 3].map(|dim: usize| self.weight.size()[dim] / 2);
        x.conv2d(&self.weight, Some(&self.bias), [self.stride; 2], [h, w], [1; 2], 1)
    }

    /// Returns the output of a 1×1 kernel as a matrix product: oneDNN crashes in the gradient of such a
    /// convolution in f32 for some sizes.
    fn pointwise(&self, x: &Tensor) -> Tensor {
        let pixels = x.slice(2, 0, None, self.stride).slice(3, 0, None, self.stride).permute([0, 2, 3, 1]);
        let matrix = self.weight.flatten(1, 3).transpose(0, 1);
        let output = self.bias.addmm(&pixels.flatten(0, 2), &matrix);
        let [n, h, w, _] = pixels.size()[..] else { unreachable!("pixels are (n, h, w, c)") };
        output.view([n, h, w, -1]).permute([0, 3, 1, 2])
    }

    /// Returns the side of the output for an input of `side`.
    fn output_side(&self, side: i64) -> i64 {
        (side - 1) / self.stride + 1
    }

    /// Returns the multiply-accumulates for an input of side×side pixels.
    pub(super) fn macs(&self, side: i64) -> u64 {
        let after = self.output_side(side).cast_unsigned();
        self.weight.numel() as u64 * after * after
    }

    /// Returns the number of elements of the output for an input of side×side pixels.
    pub(super) fn elements(&self, side: i64) -> i64 {
        let after = self.output_side(side);
        self.weight.size()[0] * after * after
    }
}

/// A pre-activation block: ReLU and convolution, two or three times, added to its input.
#[derive(Debug)]
pub(super) struct Block {
    convs: Vec<Conv>,
    /// A 1×1 convolution of the activated input, where the block changes the shape.
    shortcut: Option<Conv>,
}

/// The channels and stride of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockShape {
    pub(super) input: i64,
    /// Channels inside of the block, a quarter of those of its output if it has three convolutions.
    pub(super) inner: i64,
    pub(super) stride: i64,
    pub(super) bottleneck: bool,
}

impl BlockShape {
    pub(super) fn output(self) -> i64 {
        self.inner * if self.bottleneck { 4 } else { 1 }
    }

    /// Returns the shape of each kernel, and its stride.
    fn kernels(self) -> Vec<([i64; 4], i64)> {
        let Self { input, inner, stride, bottleneck } = self;
        if bottleneck {
            vec![([inner, input, 1, 1], 1), ([inner, inner, 3, 3], stride), ([self.output(), inner, 1, 1], 1)]
        } else {
            vec![([inner, input, 3, 3], stride), ([inner, inner, 3, 3], 1)]
        }
    }
}

impl Block {
    pub(super) fn new(path: &Path, shape: BlockShape) -> Self {
        let kernels = shape.kernels().into_iter().enumerate();
        let convs = kernels
            .map(|(k, (kernel, stride))| Conv::new(&(path / format!("conv{}", k + 1)), kernel, stride))
            .collect();
        let changes = shape.stride != 1 || shape.input != shape.output();
        let shortcut = changes.then(|| {
            let kernel = [shape.output(), shape.input, 1, 1];
            Conv::new(&(path / "shortcut" / "0"), kernel, shape.stride)
        });
        Self { convs, shortcut }
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let activated = x.relu();
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(&activated),
            None => x.shallow_clone(),
        };
        let (first, rest) = self.convs.split_first().expect("a block has convolutions");
        rest.iter().fold(first.forward(&activated), |x, conv| conv.forward(&x.relu())) + shortcut
    }

    pub(super) fn output_side(&self, side: i64) -> i64 {
        self.convs.iter().fold(side, |side, conv| conv.output_side(side))
    }

    pub(super) fn macs(&self, side: i64) -> u64 {
        let shortcut = self.shortcut.as_ref().map_or(0, |shortcut| shortcut.macs(side));
        self.each(side, Conv::macs).sum::<u64>() + shortcut
    }

    /// Returns the number of elements of the largest activation of one patch of `side`.
    pub(super) fn elements(&self, side: i64) -> i64 {
        self.each(side, Conv::elements).max().unwrap_or(0)
    }

    /// Applies `f` to each convolution and the side of its input.
    fn each<T>(&self, mut side: i64, f: impl Fn(&Conv, i64) -> T) -> impl Iterator<Item = T> {
        self.convs.iter().map(move |conv| {
            let value = f(conv, side);
            side = conv.output_side(side);
            value
        })
    }
}
