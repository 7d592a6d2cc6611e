//! The residual block of a ResNet, with the names of torchvision.

use tch::{Device, Tensor, nn::Path};
use torchkit::{Piece, pointwise_convolution};

use crate::encoder::{
    init::normal_fan_out,
    norm::{Mode, Norm},
};

/// A convolution without bias, padded to half of its window, and a batch norm.
#[derive(Debug)]
pub(super) struct ConvNorm {
    weight: Tensor,
    norm: Norm,
    stride: i64,
}

/// The channels and the window of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) kernel: i64,
    pub(super) stride: i64,
}

impl ConvNorm {
    /// Returns a freshly initialized convolution whose weight is named under `conv`, and its norm under
    /// `norm`.
    pub(super) fn new(conv: &Path, norm: &Path, window: Window) -> Self {
        let Window { input, output, kernel, stride } = window;
        Self {
            weight: normal_fan_out(conv, "weight", [output, input, kernel, kernel]),
            norm: Norm::new(norm, output),
            stride,
        }
    }

    /// Returns the normalized convolution of `x`.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.norm.forward(&self.convolve(x), mode)
    }

    /// Returns the ReLU of the normalized convolution of `x`, plus `skip` before the ReLU.
    pub(super) fn forward_relu(&self, x: &Tensor, skip: Option<&Tensor>, mode: Mode) -> Tensor {
        self.norm.forward_relu(&self.convolve(x), skip, mode)
    }

    /// Returns what [`forward_relu`](Self::forward_relu) does without a skip, and `x` for other layers.
    fn forward_beside(&self, x: &Tensor, mode: Mode) -> (Tensor, Tensor) {
        let (convolved, x) = self.convolve_beside(x);
        (self.norm.forward_relu(&convolved, None, mode), x)
    }

    fn convolve(&self, x: &Tensor) -> Tensor {
        self.convolve_beside(x).0
    }

    /// Returns the convolution of `x`, and `x` for other layers, whose gradient its function then adds.
    fn convolve_beside(&self, x: &Tensor) -> (Tensor, Tensor) {
        if self.is_product() && Piece::Products.is_fused() {
            let [convolved, x] = pointwise_convolution(x, &self.weight);
            return (convolved, x);
        }
        let kernel = self.weight.size()[2];
        // A 1×1 convolution with a stride sees only some pixels. On the CPU they are taken first: with a stride,
        // odd batches and fewer than 16 channels, the backward pass of oneDNN 3.10 writes out of bounds.
        let (seen, stride) = if kernel == 1 && self.stride > 1 && x.device() == Device::Cpu {
            (x.slice(2, 0, None, self.stride).slice(3, 0, None, self.stride), 1)
        } else {
            (x.shallow_clone(), self.stride)
        };
        let padding = [kernel / 2; 2];
        (seen.conv2d(&self.weight, None::<Tensor>, [stride; 2], padding, [1; 2], 1), x.shallow_clone())
    }

    /// Returns whether the convolution is a matrix product of pixels.
    fn is_product(&self) -> bool {
        self.weight.size()[2] == 1 && self.stride == 1
    }

    /// Returns the side of the output for an input of `side` pixels.
    pub(super) fn output_side(&self, side: i64) -> i64 {
        (side - 1) / self.stride + 1
    }

    /// Returns the multiply-accumulates for an input of `side` pixels.
    pub(super) fn macs(&self, side: i64) -> u64 {
        self.weight.numel() as u64 * self.output_side(side).pow(2).cast_unsigned()
    }

    /// Returns the elements of the output for an input of `side` pixels.
    pub(super) fn elements(&self, side: i64) -> i64 {
        self.weight.size()[0] * self.output_side(side).pow(2)
    }
}

/// A residual block: two 3×3 convolutions, or 1×1, 3×3 and 1×1 ("bottleneck"), with a ReLU after each but the
/// last; the sum with the shortcut; a ReLU.
#[derive(Debug)]
pub(super) struct Block {
    convs: Vec<ConvNorm>,
    /// A 1×1 convolution where stride or channels differ.
    downsample: Option<ConvNorm>,
}

/// The channels and the stride of a residual block.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockShape {
    pub(super) input: i64,
    /// The channels of the 3×3 convolutions. A bottleneck has four times as many outputs.
    pub(super) planes: i64,
    pub(super) stride: i64,
    pub(super) is_bottleneck: bool,
}

impl BlockShape {
    pub(super) fn output(self) -> i64 {
        if self.is_bottleneck { 4 * self.planes } else { self.planes }
    }

    /// Returns the windows of the convolutions. The stride is that of the first 3×3 convolution ("v1.5").
    fn windows(self) -> Vec<Window> {
        let Self { input, planes, stride, .. } = self;
        let window = |input, output, kernel, stride| Window { input, output, kernel, stride };
        if self.is_bottleneck {
            vec![
                window(input, planes, 1, 1),
                window(planes, planes, 3, stride),
                window(planes, 4 * planes, 1, 1),
            ]
        } else {
            vec![window(input, planes, 3, stride), window(planes, planes, 3, 1)]
        }
    }
}

impl Block {
    /// Returns a freshly initialized block. Its tensors are named under `path`.
    pub(super) fn new(path: &Path, shape: BlockShape, zero_init_residual: bool) -> Self {
        let BlockShape { input, stride, .. } = shape;
        let conv = |(number, window): (usize, Window)| {
            ConvNorm::new(&(path / format!("conv{number}")), &(path / format!("bn{number}")), window)
        };
        let convs: Vec<_> = (1..).zip(shape.windows()).map(conv).collect();
        if let Some(last) = convs.last().filter(|_| zero_init_residual) {
            last.norm.zero_weights();
        }
        let downsample = (stride != 1 || input != shape.output()).then(|| {
            let path = path / "downsample";
            let window = Window { input, output: shape.output(), kernel: 1, stride };
            ConvNorm::new(&(&path / 0), &(&path / 1), window)
        });
        Self { convs, downsample }
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let [first, inner @ .., last] = self.convs.as_slice() else {
            unreachable!("a block has convolutions")
        };
        let (branch, x) = first.forward_beside(x, mode);
        let branch = inner.iter().fold(branch, |branch, conv| conv.forward_relu(&branch, None, mode));
        let shortcut =
            self.downsample.as_ref().map_or_else(|| x.shallow_clone(), |conv| conv.forward(&x, mode));
        last.forward_relu(&branch, Some(&shortcut), mode)
    }

    /// Returns the convolutions, each with the side of its input, for a block whose input has `side` pixels.
    fn on_sides(&self, side: i64) -> impl Iterator<Item = (&ConvNorm, i64)> {
        let mut inner = side;
        let convs = self.convs.iter().map(move |conv| {
            let input = inner;
            inner = conv.output_side(input);
            (conv, input)
        });
        convs.chain(self.downsample.iter().map(move |conv| (conv, side)))
    }

    pub(super) fn output_side(&self, side: i64) -> i64 {
        self.convs.iter().fold(side, |side, conv| conv.output_side(side))
    }

    pub(super) fn macs(&self, side: i64) -> u64 {
        self.on_sides(side).map(|(conv, side)| conv.macs(side)).sum()
    }

    pub(super) fn elements(&self, side: i64) -> i64 {
        self.on_sides(side).map(|(conv, side)| conv.elements(side)).max().unwrap_or(0)
    }
}
