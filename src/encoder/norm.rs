//! Batch norm: by running statistics, by those of the batch, or by those of the batch while the running ones
//! are estimated anew as a mean over batches.

use tch::{Tensor, nn::Path};

use super::init::{buffer, parameter};

/// Which statistics batch norms normalize by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The running statistics.
    Evaluation,
    /// The statistics of the batch, which consists of `groups` groups of consecutive samples of equal size.
    /// Each group is normalized by its own statistics.
    Training {
        /// The number of groups in the batch, such as its views.
        groups: i64,
        /// How the running statistics are updated.
        moves: Moves,
    },
    /// Normalizes by the statistics of the batch and makes the running statistics the mean over batches 1 to
    /// `number`. Earlier running statistics are discarded.
    Settling {
        /// The number of the batch, from 1.
        number: i64,
    },
}

/// How the running statistics follow those of the groups of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// They stay as they are.
    Kept,
    /// They are updated by each group in turn, as if the groups were batches.
    InTurn,
    /// They are updated once, by the mean over the groups of the groups' statistics.
    ByMean,
    /// They are updated once, by the first group, as in data-parallel training, where each group is a process
    /// and the buffers are those of process 0.
    ByFirst,
}

impl Moves {
    /// Returns `self` if `moves` is true, and [`Kept`](Self::Kept) if not.
    #[must_use]
    pub fn if_moving(self, moves: bool) -> Self {
        if moves { self } else { Self::Kept }
    }
}

impl Mode {
    /// Training on a batch of one group, which updates the running statistics.
    pub const TRAINING: Self = Self::Training { groups: 1, moves: Moves::InTurn };

    /// Returns [`TRAINING`](Self::TRAINING) if `train` is true, [`Evaluation`](Self::Evaluation) if not.
    pub fn training_if(train: bool) -> Self {
        if train { Self::TRAINING } else { Self::Evaluation }
    }
}

/// Batch norm over the channels of inputs (n, c) or (n, c, h, w). Its parameters and statistics are named
/// tensors.
#[derive(Debug)]
pub(super) struct Norm {
    weight: Tensor,
    /// The offset; a norm before a normalization to length 1 may have none.
    bias: Option<Tensor>,
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor,
}

impl Norm {
    const MOMENTUM: f64 = 0.1;
    const EPS: f64 = 1e-5;

    /// Returns a norm with weights of one and offsets of zero.
    pub(super) fn new(path: &Path, channels: i64) -> Self {
        let offset = parameter(path, "bias", &Tensor::zeros(channels, (path.kind(), tch::Device::Cpu)));
        Self { bias: Some(offset), ..Self::without_offset(path, channels) }
    }

    /// Returns a norm with weights of one that adds nothing.
    pub(super) fn without_offset(path: &Path, channels: i64) -> Self {
        let filled = |value: f64| Tensor::full(channels, value, (path.kind(), tch::Device::Cpu));
        Self {
            weight: parameter(path, "weight", &filled(1.0)),
            bias: None,
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

    /// Sets the weights to zero.
    pub(super) fn zero_weights(&self) {
        let _ = tch::no_grad(|| self.weight.shallow_clone().zero_());
    }

    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match mode {
            Mode::Evaluation => self.normalize(x, false, Some(Self::MOMENTUM)),
            Mode::Settling { number } => self.normalize(x, true, Some(1.0 / number as f64)),
            Mode::Training { groups: 1, moves } => {
                self.normalize(x, true, (moves != Moves::Kept).then_some(Self::MOMENTUM))
            }
            Mode::Training { groups, moves: Moves::ByMean } => self.normalize_by_mean(&x.chunk(groups, 0)),
            Mode::Training { groups, moves } => {
                let normalized = |(number, group): (usize, &Tensor)| {
                    let is_followed = moves == Moves::InTurn || (moves == Moves::ByFirst && number == 0);
                    self.normalize(group, true, is_followed.then_some(Self::MOMENTUM))
                };
                Tensor::cat(&x.chunk(groups, 0).iter().enumerate().map(normalized).collect::<Vec<_>>(), 0)
            }
        }
    }

    /// Normalizes each group by its own statistics, and updates the running statistics by their mean.
    fn normalize_by_mean(&self, groups: &[Tensor]) -> Tensor {
        let count = groups.len() as f64;
        let [means, vars] = [&self.running_mean, &self.running_var]
            .map(|statistic| groups.iter().map(|_| statistic.zeros_like()).collect::<Vec<_>>());
        let normalized: Vec<_> = groups
            .iter()
            .zip(means.iter().zip(&vars))
            // With a momentum of 1, running statistics become those of the group.
            .map(|(group, (mean, var))| self.batch_norm(group, [Some(mean), Some(var)], true, 1.0))
            .collect();
        tch::no_grad(|| {
            for (running, of_groups) in [(&self.running_mean, means), (&self.running_var, vars)] {
                let mean = of_groups.iter().sum::<Tensor>() / count;
                let _ = running.shallow_clone().lerp_(&mean, Self::MOMENTUM);
            }
            let _ = self.num_batches_tracked.shallow_clone().g_add_scalar_(1);
        });
        Tensor::cat(&normalized, 0)
    }

    /// Normalizes by the statistics of the batch (`train`) or by the running ones. With a `momentum`, the
    /// running statistics are updated in training; without one, training leaves them alone.
    fn normalize(&self, x: &Tensor, train: bool, momentum: Option<f64>) -> Tensor {
        if train && momentum.is_some() {
            let _ = tch::no_grad(|| self.num_batches_tracked.shallow_clone().g_add_scalar_(1));
        }
        let statistics = [&self.running_mean, &self.running_var].map(|statistic| momentum.map(|_| statistic));
        self.batch_norm(x, statistics, train, momentum.unwrap_or(0.0))
    }

    fn batch_norm(
        &self,
        x: &Tensor,
        [mean, var]: [Option<&Tensor>; 2],
        train: bool,
        momentum: f64,
    ) -> Tensor {
        let (weight, bias) = (Some(&self.weight), self.bias.as_ref());
        x.batch_norm(weight, bias, mean, var, train, momentum, Self::EPS, true)
    }
}
