//! The context network: a gated `PixelCNN` over the grid of embeddings (van den Oord et al. 2016).

use tch::{Tensor, nn::Path};

use super::blocks::Conv;
use crate::encoder::init::uniform_fan_in;

/// A network whose output at a row of the grid depends on this row and those above it, on all of their
/// columns. So it can only predict downwards.
#[derive(Debug)]
pub struct Context {
    layers: Vec<GatedLayer>,
    output: Conv,
}

impl Context {
    /// Returns a freshly initialized network of `layers` layers over embeddings of `width` channels. Its
    /// tensors are named under `path` as in the reference implementation.
    pub fn new(path: &Path, width: i64, layers: i64) -> Self {
        let each = |number| GatedLayer::new(&(path / "stack" / "layers" / number), width, number == 0);
        Self {
            layers: (0..layers).map(each).collect(),
            output: Conv::new(&(path / "stack_out"), [width, width, 1, 1], 1),
        }
    }

    /// Returns the context (n, width, r, r) of each location of a grid of embeddings (n, width, r, r).
    pub fn forward(&self, z: &Tensor) -> Tensor {
        let (mut vertical, mut horizontal) = (z.shallow_clone(), z.shallow_clone());
        for (number, layer) in self.layers.iter().enumerate() {
            let rows_above = layer.vertical.forward(&vertical);
            horizontal = layer.horizontal(&horizontal, &rows_above);
            // Nothing reads the vertical stack of the last layer.
            if number + 1 < self.layers.len() {
                vertical = layer.vertical(&vertical, rows_above);
            }
        }
        self.output.forward(&horizontal)
    }

    /// Returns the parameters that no context depends on: nothing reads the vertical stack of the last layer.
    pub fn idle(&self) -> Vec<&Tensor> {
        let residual = self.layers.last().and_then(|layer| layer.residual.as_ref());
        residual.map_or_else(Vec::new, |residual| residual.parameters().into())
    }

    /// Returns the number of multiply-accumulates for one grid of r×r embeddings.
    pub fn macs(&self, rows: i64) -> u64 {
        let last = self.layers.len().saturating_sub(1);
        let of_layer = |(number, layer): (usize, &GatedLayer)| layer.macs(rows, number < last);
        self.layers.iter().enumerate().map(of_layer).sum::<u64>() + self.output.macs(rows)
    }
}

/// A layer of both stacks: the vertical one sees the rows above, the horizontal one sees its row and the
/// vertical stack.
#[derive(Debug)]
struct GatedLayer {
    vertical: RowsAbove,
    to_horizontal: Conv,
    horizontal: Conv,
    /// Absent in the first layer, which has no residual connections.
    residual: Option<Conv>,
    output: Conv,
}

impl GatedLayer {
    fn new(path: &Path, width: i64, is_first: bool) -> Self {
        let conv =
            |name, input, output, [h, w]: [i64; 2]| Conv::new(&(path / name), [output, input, h, w], 1);
        Self {
            vertical: RowsAbove::new(&(path / "vertical_conv"), width, 2 * width),
            to_horizontal: conv("v_to_h_conv", 2 * width, 2 * width, [1, 1]),
            horizontal: conv("horizontal_conv", width, 2 * width, [1, 3]),
            residual: (!is_first).then(|| conv("residual_vertical", width, 2 * width, [1, 1])),
            output: conv("horizontal_output", width, width, [1, 1]),
        }
    }

    /// Returns the output of the vertical stack. `rows_above` is that of its convolution.
    fn vertical(&self, input: &Tensor, rows_above: Tensor) -> Tensor {
        gate(&match &self.residual {
            Some(residual) => rows_above + residual.forward(input),
            None => rows_above,
        })
    }

    /// Returns the output of the horizontal stack.
    fn horizontal(&self, input: &Tensor, rows_above: &Tensor) -> Tensor {
        let both = self.horizontal.forward(input) + self.to_horizontal.forward(rows_above);
        let output = self.output.forward(&gate(&both));
        if self.residual.is_some() { input + output } else { output }
    }

    fn macs(&self, rows: i64, has_vertical: bool) -> u64 {
        let residual = self.residual.as_ref().filter(|_| has_vertical);
        let convs = [&self.to_horizontal, &self.horizontal, &self.output].into_iter().chain(residual);
        self.vertical.macs(rows) + convs.map(|conv| conv.macs(rows)).sum::<u64>()
    }
}

/// Returns the gated activation of two halves of the channels.
fn gate(x: &Tensor) -> Tensor {
    let halves = x.chunk(2, 1);
    halves[0].tanh() * halves[1].sigmoid()
}

/// A 3×3 convolution without the lowest row of its kernel. The tensor has that row, as in the reference
/// implementation; it is 0 and stays so.
#[derive(Debug)]
struct RowsAbove {
    weight: Tensor,
    bias: Tensor,
}

impl RowsAbove {
    fn new(path: &Path, input: i64, output: i64) -> Self {
        let weight = uniform_fan_in(path, "weight", &[output, input, 3, 3], 9 * input);
        let _ = tch::no_grad(|| weight.narrow(2, 2, 1).zero_());
        Self { weight, bias: uniform_fan_in(path, "bias", &[output], 9 * input) }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let kernel = self.weight.narrow(2, 0, 2);
        let padded = x.conv2d(&kernel, Some(&self.bias), [1, 1], [1, 1], [1, 1], 1);
        padded.narrow(2, 0, x.size()[2])
    }

    fn macs(&self, rows: i64) -> u64 {
        self.weight.numel() as u64 / 3 * 2 * (rows * rows).cast_unsigned()
    }
}
