//! Batch norm, with the statistics that an encoder needs in training, in evaluation and when they are settled.

use tch::{Tensor, nn::Path};

use super::init::{buffer, parameter};

/// What batch norms go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
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
    pub(super) fn of(train: bool) -> Self {
        if train { Self::Training { views: 1, moves: true } } else { Self::Evaluation }
    }
}

/// Batch norm over the channels of (n, c) or (n, c, h, w), with all of its state under names.
#[derive(Debug)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor,
}

impl Norm {
    const MOMENTUM: f64 = 0.1;
    const EPS: f64 = 1e-5;

    pub(super) fn new(path: &Path, channels: i64) -> Self {
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
    pub(super) fn draw_weights(&self) {
        let drawn = self.weight.detach().to_device(tch::Device::Cpu).uniform(0.0, 1.0);
        tch::no_grad(|| self.weight.shallow_clone().copy_(&drawn));
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
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
