//! Encoders and what sits on their features.

pub mod amdim;
mod blocks;
pub mod heads;

use tch::{
    Kind, Tensor,
    nn::{self, Path},
};

/// What maps images to a representation: all that evaluation and export see of a model.
pub trait Encoder {
    /// The global output before any head, (n, `width`), of normalized images (n, 3, h, w).
    ///
    /// With `train`, batch norms use the batch's statistics and move their running ones.
    fn features(&self, images: &Tensor, train: bool) -> Tensor;

    /// Takes in the `number`-th batch, from 1, of those whose mean the running statistics of the norms are to be: what they were
    /// before counts no longer.
    fn settle(&self, images: &Tensor, number: i64);

    /// Channels of the features.
    fn width(&self) -> i64;

    /// The representation (n, channels) under one of its [`layers`](Self::layers)' names, in evaluation mode, the mean over its
    /// locations.
    fn pooled(&self, images: &Tensor, layer: &str) -> Tensor;

    /// Names of its representations, that of the features first.
    fn layers(&self) -> &'static [&'static str];
}

/// PyTorch's default for convolutions and linear layers: uniform within ±1/√fan-in, fan-in being all but the first
/// of `shape`. Drawn on the CPU, so that a seed gives the same model on every device.
fn uniform_fan_in(path: &Path, name: &str, shape: &[i64], fan_in: i64) -> Tensor {
    let bound = 1.0 / (fan_in as f64).sqrt();
    let values = Tensor::empty(shape, (Kind::Float, tch::Device::Cpu)).uniform_(-bound, bound);
    parameter(path, name, &channels_last(&values))
}

/// The same weight of a convolution (out, in, h, w), laid out as its input is: it is used, and its gradient made, without a copy.
fn channels_last(weight: &Tensor) -> Tensor {
    match weight.dim() {
        4 => weight.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
        _ => weight.shallow_clone(),
    }
}

/// A trained tensor of the given initial value.
fn parameter(path: &Path, name: &str, value: &Tensor) -> Tensor {
    path.add(name, value.to_kind(path.kind()).to_device(path.device()), true)
}

/// A named tensor that is state, not trained.
fn buffer(path: &Path, name: &str, value: &Tensor) -> Tensor {
    path.add(name, value.to_device(path.device()), false)
}

/// What batch norms go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Their running statistics.
    Evaluation,
    /// Those of each view by itself, one after the other, which move the running ones if it `moves` them. The batch holds so
    /// many views of the same size, all samples of the first before those of the second.
    Training { views: i64, moves: bool },
    /// Those of the batch, the so many-th one, from 1, over which the running ones are averaged.
    Settling { number: i64 },
}

impl Mode {
    /// Of a batch of single views.
    fn of(train: bool) -> Self {
        if train { Self::Training { views: 1, moves: true } } else { Self::Evaluation }
    }
}

/// Batch norm over the channels of (n, c) or (n, c, h, w), with all of its state under names.
#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor,
}

impl Norm {
    const MOMENTUM: f64 = 0.1;
    const EPS: f64 = 1e-5;

    fn new(path: &Path, channels: i64) -> Self {
        let filled = |value: f64| Tensor::full(channels, value, (path.kind(), tch::Device::Cpu));
        Self {
            weight: parameter(path, "weight", &filled(1.0)),
            bias: parameter(path, "bias", &filled(0.0)),
            running_mean: buffer(path, "running_mean", &filled(0.0)),
            running_var: buffer(path, "running_var", &filled(1.0)),
            num_batches_tracked: buffer(path, "num_batches_tracked", &Tensor::from(0i64)),
        }
    }

    /// Draws the weights uniformly from 0 to 1, on the CPU, so that a seed gives the same ones on every device.
    fn draw_weights(&self) {
        let drawn = self.weight.detach().to_device(tch::Device::Cpu).uniform(0.0, 1.0);
        tch::no_grad(|| self.weight.shallow_clone().copy_(&drawn));
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match mode {
            Mode::Evaluation => self.normalize(x, false, Some(Self::MOMENTUM)),
            Mode::Settling { number } => self.normalize(x, true, Some(1.0 / number as f64)),
            Mode::Training { views: 1, moves } => self.normalize(x, true, moves.then_some(Self::MOMENTUM)),
            Mode::Training { views, moves } => {
                let views = x.chunk(views, 0);
                let momentum = moves.then_some(Self::MOMENTUM);
                let views: Vec<_> = views.iter().map(|view| self.normalize(view, true, momentum)).collect();
                Tensor::cat(&views, 0)
            }
        }
    }

    /// By the batch's statistics or the running ones, which are looked at, or moved by that share, only where there is a `momentum`.
    fn normalize(&self, x: &Tensor, train: bool, momentum: Option<f64>) -> Tensor {
        if train && momentum.is_some() {
            let _ = tch::no_grad(|| self.num_batches_tracked.shallow_clone().g_add_scalar_(1));
        }
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        let [mean, var] =
            [&self.running_mean, &self.running_var].map(|statistic| momentum.map(|_| statistic));
        x.batch_norm(weight, bias, mean, var, train, momentum.unwrap_or(0.0), Self::EPS, true)
    }
}

/// Sets the kind of every floating-point tensor, parameters and state alike, e.g. to f64 for comparisons.
pub fn set_float_kind(vars: &mut nn::VarStore, kind: Kind) {
    match kind {
        Kind::Double => vars.double(),
        _ => vars.float(),
    }
}
