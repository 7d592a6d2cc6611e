//! The networks of Exemplar-CNN, such as 64c5-128c5-256c5-512f (Dosovitskiy et al. 2014).

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor, nn::Path};

use super::{
    init::uniform_fan_in,
    interface::{Encoder, EncoderSettings},
    norm::Mode,
};
use crate::{
    numbers,
    settings::{Setting, settings, whole},
    usage,
};

settings! {
    /// The size of the encoder. The default is the middle one of the paper's networks.
    pub struct Config {
        /// Channels of the convolutions, and at the end those of the fully connected layer.
        widths: Vec<i64> = vec![64, 128, 256, 512], whole(numbers::CHANNELS);
    }
}

/// The width and height of all kernels.
const KERNEL: i64 = 5;
/// The number of convolutions that are followed by a max pooling.
const POOLED: usize = 2;

impl Config {
    /// Returns the channels of the convolutions, and those of the fully connected layer.
    fn split(&self) -> (&[i64], i64) {
        match self.widths.as_slice() {
            [convolutions @ .., features] => (convolutions, *features),
            [] => (&[], 0),
        }
    }

    /// Returns the side of the last convolution's output for images of `side` pixels.
    fn last_side(&self, side: i64) -> i64 {
        side >> self.split().0.len().min(POOLED)
    }
}

impl EncoderSettings for Config {
    fn name(&self) -> &'static str {
        "exemplar"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn flags(&self) -> String {
        "--encoder exemplar".to_owned()
    }

    fn size_flags(&self) -> &'static str {
        "--side"
    }

    fn width(&self) -> i64 {
        self.split().1
    }

    fn check(&self, _side: u32) -> Result<()> {
        if self.widths.len() >= 2 {
            return Ok(());
        }
        Err(usage!(
            "`encoder.widths` has {} numbers", self.widths.len();
            "write the channels of one or more convolutions, and those of the fully connected layer"
        ))
    }

    fn check_tensors(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let names = (1..self.widths.len()).map(|number| format!("encoder.conv{number}.weight"));
        for (name, width) in names.chain(["encoder.fc.weight".to_owned()]).zip(&self.widths) {
            let found = tensors.get(&name).with_context(|| format!("`{name}` is missing"))?;
            let channels = found.size().first().copied();
            ensure!(
                channels == Some(*width),
                "`{name}` does not have the {width} output channels that the file declares"
            );
        }
        Ok(())
    }

    fn build(&self, path: &Path, side: u32) -> Box<dyn Encoder> {
        Box::new(ExemplarNet::new(path, side, self))
    }
}

/// Convolutions of 5×5, each with a ReLU, the first two with a 2×2 max pooling, and a fully connected layer
/// with a ReLU.
#[derive(Debug)]
pub struct ExemplarNet {
    convolutions: Vec<Layer>,
    fc: Layer,
    side: i64,
}

/// The weight and bias of a layer.
#[derive(Debug)]
struct Layer {
    weight: Tensor,
    bias: Tensor,
}

impl Layer {
    fn new(path: &Path, shape: &[i64]) -> Self {
        let fan_in = shape[1..].iter().product();
        Self {
            weight: uniform_fan_in(path, "weight", shape, fan_in),
            bias: uniform_fan_in(path, "bias", &shape[..1], fan_in),
        }
    }
}

impl ExemplarNet {
    /// Returns a freshly initialized network for images of `side` pixels. Its tensors are named under `path`.
    pub fn new(path: &Path, side: u32, config: &Config) -> Self {
        let side = i64::from(side);
        let (widths, features) = config.split();
        let mut input = 3;
        let mut convolutions = Vec::new();
        for (number, &width) in widths.iter().enumerate() {
            let path = path / format!("conv{}", number + 1);
            convolutions.push(Layer::new(&path, &[width, input, KERNEL, KERNEL]));
            input = width;
        }
        let last = config.last_side(side);
        let fc = Layer::new(&(path / "fc"), &[features, input * last * last]);
        Self { convolutions, fc, side }
    }

    /// Returns the output (n, c, h, w) of a convolution with its ReLU and its pooling.
    fn convolved(&self, number: usize, x: &Tensor) -> Tensor {
        let Layer { weight, bias } = &self.convolutions[number];
        let x = x.conv2d(weight, Some(bias), [1, 1], [KERNEL / 2; 2], [1, 1], 1).relu();
        if number < POOLED { x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false) } else { x }
    }

    /// Returns the features of the output of the last convolution.
    fn connected(&self, x: &Tensor) -> Tensor {
        // In the order of channels, rows and columns, whatever the memory's.
        x.contiguous().flatten(1, 3).linear(&self.fc.weight, Some(&self.fc.bias)).relu()
    }

    /// Returns the side of the input of each convolution.
    fn sides(&self) -> impl Iterator<Item = i64> {
        (0..self.convolutions.len()).map(|number| self.side >> number.min(POOLED))
    }
}

impl Encoder for ExemplarNet {
    fn features(&self, images: &Tensor, mode: Mode) -> Tensor {
        (0..self.blocks()).fold(images.shallow_clone(), |x, number| self.block(number, &x, mode))
    }

    fn blocks(&self) -> usize {
        self.convolutions.len() + 1
    }

    fn block(&self, number: usize, x: &Tensor, _mode: Mode) -> Tensor {
        if number < self.convolutions.len() { self.convolved(number, x) } else { self.connected(x) }
    }

    fn elements(&self) -> i64 {
        let outputs = self.convolutions.iter().zip(self.sides());
        let largest = outputs.map(|(layer, side)| layer.bias.size()[0] * side * side).max();
        largest.unwrap_or(0).max(3 * self.side * self.side)
    }

    fn width(&self) -> i64 {
        self.fc.bias.size()[0]
    }

    fn layers(&self) -> &'static [&'static str] {
        &["fc", "last_conv"]
    }

    fn pooled(&self, images: &Tensor, layer: &str) -> Tensor {
        if layer == "fc" {
            return self.features(images, Mode::Evaluation);
        }
        let convolved =
            (0..self.convolutions.len()).fold(images.shallow_clone(), |x, number| self.convolved(number, &x));
        convolved.mean_dim([2i64, 3].as_slice(), false, None::<Kind>)
    }

    fn macs(&self) -> u64 {
        let convolutions = self.convolutions.iter().zip(self.sides());
        let of = |(layer, side): (&Layer, i64)| layer.weight.numel() as u64 * (side * side).cast_unsigned();
        convolutions.map(of).sum::<u64>() + self.fc.weight.numel() as u64
    }
}
