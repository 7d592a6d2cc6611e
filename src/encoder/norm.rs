//! Batch norm: by running statistics, by those of the batch, or by those of the batch while the running ones
//! are estimated anew as a mean over batches.

use tch::{Tensor, nn::Path};

use super::init::{buffer, parameter};

/// Which statistics batch norms normalize by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The running statistics.
    Evaluation,
    /// The statistics of the batch, which holds `views` views of equal size, all samples of the first before
    /// those of the second. Each view is normalized by its own statistics, in order, and updates the running
    /// statistics if `moves` is true.
    Training {
        /// The number of views in the batch.
        views: i64,
        /// Whether the running statistics are updated.
        moves: bool,
    },
    /// Normalizes by the statistics of the batch and makes the running statistics the mean over batches 1 to
    /// `number`. Earlier running statistics are discarded.
    Settling {
        /// The number of the batch, from 1.
        number: i64,
    },
}

impl Mode {
    /// Training on a batch of one view, which updates the running statistics.
    pub const TRAINING: Self = Self::Training { views: 1, moves: true };

    /// [`TRAINING`](Self::TRAINING) if `train` is true, [`Evaluation`](Self::Evaluation) if not.
    pub fn training_if(train: bool) -> Self {
        if train { Self::TRAINING } else { Self::Evaluation }
    }
}

/// Batch norm over the channels of inputs (n, c) or (n, c, h, w). Its parameters and statistics are named
/// tensors.
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

    /// Draws the weights uniformly from 0 to 1. They are drawn on the CPU, so that a seed gives the same
    /// weights on every device.
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

    /// Normalizes by the statistics of the batch (`train`) or by the running ones. With a `momentum`, the
    /// running statistics are updated in training; without one, training leaves them alone.
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
