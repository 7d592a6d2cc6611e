//! Batch norm: by running statistics, by those of the batch, or by those of the batch while the running ones
//! are estimated anew as a mean over batches.

use tch::{Kind, Tensor, nn::Path};
use torchkit::{BatchNorm, Piece};

use super::init::{buffer, parameter};
use crate::world::World;

/// Which statistics batch norms normalize by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The running statistics.
    Evaluation,
    /// The statistics of the batch, which consists of `views` batches of equal size, one after the other. Each is
    /// normalized by itself, in turn.
    Training {
        /// The number of batches.
        views: i64,
        /// The samples of each that are normalized together.
        norming: Norming,
    },
    /// Normalizes by the statistics of the batch and makes the running statistics the mean over batches 1 to
    /// `number`. Earlier running statistics are discarded.
    Settling {
        /// The number of the batch, from 1.
        number: i64,
    },
}

/// The samples that batch norms in training mode normalize together, and what their statistics do to the running
/// ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Norming {
    /// The number of groups of consecutive samples of this process, of equal size, that are normalized separately.
    pub groups: i64,
    /// The processes whose samples are normalized together. If there are several, there is one group.
    pub world: World,
    /// How the running statistics are updated.
    pub moves: Moves,
    /// The part of the batch that the samples are.
    pub part: Part,
    /// The number of views of the same part that pass later, each by itself.
    pub later_views: i64,
}

/// A part of a batch that is encoded in several parts. The running statistics are updated once a batch, by the mean
/// over its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The number of the part, from 0.
    pub number: i64,
    /// The number of parts.
    pub of: i64,
}

impl Norming {
    /// The whole batch of one process, which updates the running statistics.
    pub const WHOLE: Self = Self {
        groups: 1,
        world: World::ALONE,
        moves: Moves::ByMean,
        part: Part { number: 0, of: 1 },
        later_views: 0,
    };

    /// Returns whether all samples of a view are normalized together, in one part of one process.
    fn is_whole(self) -> bool {
        self.groups == 1 && self.world.size() == 1 && self.part.of == 1
    }

    /// Returns the same without an update of running statistics.
    #[must_use]
    pub fn kept(self) -> Self {
        Self { moves: Moves::Kept, ..self }
    }
}

/// How the running statistics follow those of the groups of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// They stay as they are.
    Kept,
    /// They are updated once, by the mean over the groups of the groups' statistics.
    ByMean,
    /// They are updated once, by the first group, as in data-parallel training, where each group is a process
    /// and the buffers are those of process 0.
    ByFirst,
}

impl Mode {
    /// Training on a batch of one group, which updates the running statistics.
    pub const TRAINING: Self = Self::Training { views: 1, norming: Norming::WHOLE };

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

    /// Iterates over the parameters.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &Tensor> {
        [&self.weight].into_iter().chain(&self.bias)
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
        let normalized: Vec<_> = match mode {
            Mode::Evaluation => return self.normalize(x, false, Some(Self::MOMENTUM)),
            Mode::Settling { number } => return self.normalize(x, true, Some(1.0 / number as f64)),
            Mode::Training { views, norming } if norming.is_whole() => {
                let momentum = (norming.moves != Moves::Kept).then_some(Self::MOMENTUM);
                x.chunk(views, 0).iter().map(|view| self.normalize(view, true, momentum)).collect()
            }
            Mode::Training { views, norming } => {
                let (groups, statistics) =
                    (x.chunk(views * norming.groups, 0), self.statistics(views * norming.groups));
                let normalized = groups.iter().zip(&statistics).map(|(group, statistics)| {
                    if norming.world.size() > 1 {
                        return self.normalize_over(group, norming.world, statistics);
                    }
                    self.batch_norm(group, statistics.each_ref().map(Some), true, 1.0)
                });
                let normalized = normalized.collect();
                self.follow(&statistics, norming);
                normalized
            }
        };
        if let [only] = &normalized[..] { only.shallow_clone() } else { Tensor::cat(&normalized, 0) }
    }

    /// Normalizes by the statistics of the samples of all processes, of which each has equally many, and writes them.
    ///
    /// The variance is the mean of those of the processes plus that of their means. The mean square minus the
    /// square of the mean would lose digits in f32.
    fn normalize_over(&self, x: &Tensor, world: World, [mean_of_all, var_of_all]: &[Tensor; 2]) -> Tensor {
        let kind = if x.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let wide = x.to_kind(kind);
        let all_but_channels: Vec<i64> = (0..x.dim() as i64).filter(|&dim| dim != 1).collect();
        let by_channel: Vec<i64> = (0..x.dim()).map(|dim| if dim == 1 { -1 } else { 1 }).collect();
        let mean_of = |x: &Tensor| x.mean_dim(all_but_channels.as_slice(), false, None::<Kind>);
        let own_mean = mean_of(&wide);
        let own_var = mean_of(&(&wide - own_mean.view(by_channel.as_slice())).square());
        let mean = world.mean(&own_mean);
        let var = world.mean(&(own_var + (own_mean - &mean).square()));
        let count = (x.numel() as i64 / x.size()[1] * world.size() as i64) as f64;
        tch::no_grad(|| {
            mean_of_all.shallow_clone().copy_(&mean);
            var_of_all.shallow_clone().copy_(&(&var * (count / (count - 1.0))));
        });
        let factor = (var + Self::EPS).rsqrt() * &self.weight;
        let [mean, factor] = [mean, factor].map(|each| each.view(by_channel.as_slice()));
        let normalized = (wide - mean) * factor;
        let bias = self.bias.as_ref().map(|bias| bias.view(by_channel.as_slice()));
        bias.map_or_else(|| normalized.shallow_clone(), |bias| &normalized + bias).to_kind(x.kind())
    }

    /// Returns relu(norm(x) + skip), in one function where the statistics are those of the batch.
    pub(super) fn forward_relu(&self, x: &Tensor, skip: Option<&Tensor>, mode: Mode) -> Tensor {
        let running = [&self.running_mean, &self.running_var];
        match mode {
            _ if !Piece::Norms.is_fused() || self.bias.is_none() => self.forward_then_relu(x, skip, mode),
            Mode::Evaluation => self.forward_then_relu(x, skip, mode),
            Mode::Settling { number } => {
                self.count_batches(1);
                self.relu(x, skip, &[Some(running)], 1.0 / number as f64)
            }
            Mode::Training { views, norming }
                if norming.world.size() > 1 || x.size()[0] % (views * norming.groups) != 0 =>
            {
                self.forward_then_relu(x, skip, mode)
            }
            Mode::Training { views, norming } if norming.is_whole() => {
                let running = (norming.moves != Moves::Kept).then_some(running);
                if running.is_some() {
                    self.count_batches(views);
                }
                self.relu(x, skip, &vec![running; views as usize], Self::MOMENTUM)
            }
            Mode::Training { views, norming } => {
                let statistics = self.statistics(views * norming.groups);
                let of_groups: Vec<_> = statistics.iter().map(|both| Some(both.each_ref())).collect();
                let normalized = self.relu(x, skip, &of_groups, 1.0);
                self.follow(&statistics, norming);
                normalized
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

    /// Returns means and variances for each of so many groups. With a momentum of 1, they become the group's.
    fn statistics(&self, groups: i64) -> Vec<[Tensor; 2]> {
        let of_group = |_| [&self.running_mean, &self.running_var].map(Tensor::zeros_like);
        (0..groups).map(of_group).collect()
    }

    /// Updates the running statistics by those of the groups of each view, view after view, as if the views were
    /// batches. Each part of the batch adds its share to one such update: that of the first part is reduced by the
    /// later views' own updates, that of another one here.
    fn follow(&self, statistics: &[[Tensor; 2]], norming: Norming) {
        let Norming { groups, moves, part, later_views, .. } = norming;
        if moves == Moves::Kept {
            return;
        }
        let followed = if moves == Moves::ByFirst { 1 } else { groups as usize };
        let views = statistics.chunks(groups as usize).map(|groups| &groups[..followed]);
        let kept = |views: usize| (1.0 - Self::MOMENTUM).powi(views as i32);
        let later = if part.number == 0 { 0 } else { later_views as usize };
        let (count, share) = (views.len(), kept(later) * Self::MOMENTUM / (part.of as f64 * followed as f64));
        tch::no_grad(|| {
            for (number, running) in [&self.running_mean, &self.running_var].into_iter().enumerate() {
                let of_view = |(view, groups): (usize, &[[Tensor; 2]])| {
                    groups.iter().map(|both| &both[number]).sum::<Tensor>() * (share * kept(count - 1 - view))
                };
                let step: Tensor = views.clone().enumerate().map(of_view).sum();
                let old = if part.number == 0 { running * kept(count) } else { running.shallow_clone() };
                running.shallow_clone().copy_(&(old + step));
            }
        });
        if part.number == 0 {
            self.count_batches(count as i64);
        }
    }

    /// Normalizes by the statistics of the batch (`train`) or by the running ones. With a `momentum`, the
    /// running statistics are updated in training; without one, training leaves them alone.
    fn normalize(&self, x: &Tensor, train: bool, momentum: Option<f64>) -> Tensor {
        if train && momentum.is_some() {
            self.count_batches(1);
        }
        let statistics = [&self.running_mean, &self.running_var].map(|statistic| momentum.map(|_| statistic));
        self.batch_norm(x, statistics, train, momentum.unwrap_or(0.0))
    }

    /// Counts updates of the running statistics.
    fn count_batches(&self, count: i64) {
        let _ = tch::no_grad(|| self.num_batches_tracked.shallow_clone().g_add_scalar_(count));
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
        let moves = [Moves::Kept, Moves::ByMean, Moves::ByFirst];
        let training = |views, groups| {
            moves.map(|moves| Mode::Training { views, norming: Norming { groups, moves, ..Norming::WHOLE } })
        };
        let modes = [Mode::Evaluation, Mode::Settling { number: 3 }].into_iter();
        for mode in
            modes.chain(training(1, 1)).chain(training(2, 1)).chain(training(1, 4)).chain(training(2, 2))
        {
            let fused = pass(mode, |norm, x, skip, mode| norm.forward_relu(x, Some(skip), mode));
            let plain = pass(mode, |norm, x, skip, mode| norm.forward_then_relu(x, Some(skip), mode));
            for (number, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
                let off = (fused - plain).abs().max().double_value(&[]);
                assert!(off < 1e-12, "{mode:?}: tensor {number} is off by {off:.1e}");
            }
        }
    }
}
