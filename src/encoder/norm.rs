//! Batch norm: by running statistics, by those of the batch, or by those of the batch while the running ones
//! are estimated anew as a mean over batches.

use tch::{Tensor, nn::Path};
use torchkit::{BatchNorm, Piece};

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

    /// Returns relu(norm(x) + skip), in one function where the statistics are those of the batch.
    pub(super) fn forward_relu(&self, x: &Tensor, skip: Option<&Tensor>, mode: Mode) -> Tensor {
        let running = [&self.running_mean, &self.running_var];
        let fused = |running: &[Option<_>], momentum| {
            running.iter().flatten().for_each(|_| self.count_batch());
            self.relu(x, skip, running, momentum)
        };
        match mode {
            _ if !Piece::Norms.is_fused() || self.bias.is_none() => self.forward_then_relu(x, skip, mode),
            Mode::Evaluation => self.forward_then_relu(x, skip, mode),
            Mode::Training { groups, .. } if x.size()[0] % groups != 0 => {
                self.forward_then_relu(x, skip, mode)
            }
            Mode::Settling { number } => fused(&[Some(running)], 1.0 / number as f64),
            Mode::Training { groups, moves: Moves::ByMean } if groups > 1 => {
                let statistics = self.statistics(groups);
                let of_groups: Vec<_> = statistics.iter().map(|[mean, var]| Some([mean, var])).collect();
                let normalized = self.relu(x, skip, &of_groups, 1.0);
                self.follow_mean(&statistics);
                normalized
            }
            Mode::Training { groups, moves } => {
                let is_followed = |group| moves != Moves::Kept && (group == 0 || moves == Moves::InTurn);
                let of_groups: Vec<_> =
                    (0..groups).map(|group| is_followed(group).then_some(running)).collect();
                fused(&of_groups, Self::MOMENTUM)
            }
        }
    }

    fn forward_then_relu(&self, x: &Tensor, skip: Option<&Tensor>, mode: Mode) -> Tensor {
        let normalized = self.forward(x, mode);
        skip.map_or_else(|| normalized.shallow_clone(), |skip| &normalized + skip).relu_()
    }

    /// Computes relu(norm(x) + skip) by the statistics of each group, which updates its `running` ones.
    fn relu(
        &self,
        x: &Tensor,
        skip: Option<&Tensor>,
        running: &[Option<[&Tensor; 2]>],
        momentum: f64,
    ) -> Tensor {
        let bias = self.bias.as_ref().expect("a norm with an offset");
        BatchNorm { weight: &self.weight, bias, running, momentum, eps: Self::EPS }.relu(x, skip)
    }

    /// Normalizes each group by its own statistics, and updates the running statistics by their mean.
    fn normalize_by_mean(&self, groups: &[Tensor]) -> Tensor {
        let statistics = self.statistics(groups.len() as i64);
        let normalized: Vec<_> = groups
            .iter()
            .zip(&statistics)
            .map(|(group, [mean, var])| self.batch_norm(group, [Some(mean), Some(var)], true, 1.0))
            .collect();
        self.follow_mean(&statistics);
        Tensor::cat(&normalized, 0)
    }

    /// Returns means and variances for each of so many groups. With a momentum of 1, they become the group's.
    fn statistics(&self, groups: i64) -> Vec<[Tensor; 2]> {
        let of_group = |_| [&self.running_mean, &self.running_var].map(Tensor::zeros_like);
        (0..groups).map(of_group).collect()
    }

    /// Updates the running statistics once, by the mean of those of the groups.
    fn follow_mean(&self, statistics: &[[Tensor; 2]]) {
        let count = statistics.len() as f64;
        tch::no_grad(|| {
            for (number, running) in [&self.running_mean, &self.running_var].into_iter().enumerate() {
                let mean = statistics.iter().map(|of_group| &of_group[number]).sum::<Tensor>() / count;
                let _ = running.shallow_clone().lerp_(&mean, Self::MOMENTUM);
            }
        });
        self.count_batch();
    }

    /// Normalizes by the statistics of the batch (`train`) or by the running ones. With a `momentum`, the
    /// running statistics are updated in training; without one, training leaves them alone.
    fn normalize(&self, x: &Tensor, train: bool, momentum: Option<f64>) -> Tensor {
        if train && momentum.is_some() {
            self.count_batch();
        }
        let statistics = [&self.running_mean, &self.running_var].map(|statistic| momentum.map(|_| statistic));
        self.batch_norm(x, statistics, train, momentum.unwrap_or(0.0))
    }

    /// Counts an update of the running statistics.
    fn count_batch(&self) {
        let _ = tch::no_grad(|| self.num_batches_tracked.shallow_clone().g_add_scalar_(1));
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

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, nn::VarStore};

    use super::*;

    /// Returns the result, the gradients and the state of a norm after a batch.
    fn pass(mode: Mode, forward: impl Fn(&Norm, &Tensor, &Tensor, Mode) -> Tensor) -> Vec<Tensor> {
        tch::manual_seed(3);
        let mut vars = VarStore::new(Device::Cpu);
        let norm = Norm::new(&vars.root(), 6);
        vars.double();
        let leaf =
            || (Tensor::randn([8, 6, 3, 3], (Kind::Double, Device::Cpu)) + 1.0).set_requires_grad(true);
        let (x, skip) = (leaf(), leaf());
        norm.draw_weights();
        let result = forward(&norm, &x, &skip, mode);
        (&result * result.randn_like()).sum(None::<Kind>).backward();
        let gradients = [&x, &skip, &norm.weight].map(Tensor::grad);
        let state = [norm.running_mean, norm.running_var, norm.num_batches_tracked];
        [result].into_iter().chain(gradients).chain(state).collect()
    }

    #[test]
    fn the_sum_and_relu_of_every_mode_are_those_of_the_plain_operations() {
        let _alone = crate::testing::lock_generator();
        let moves = [Moves::Kept, Moves::InTurn, Moves::ByMean, Moves::ByFirst];
        let training = |groups| moves.map(|moves| Mode::Training { groups, moves });
        let modes = [Mode::Evaluation, Mode::Settling { number: 3 }].into_iter();
        for mode in modes.chain(training(1)).chain(training(4)) {
            let fused = pass(mode, |norm, x, skip, mode| norm.forward_relu(x, Some(skip), mode));
            let plain = pass(mode, |norm, x, skip, mode| norm.forward_then_relu(x, Some(skip), mode));
            for (number, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
                let off = (fused - plain).abs().max().double_value(&[]);
                assert!(off < 1e-12, "{mode:?}: tensor {number} is off by {off:.1e}");
            }
        }
    }
}
