//! Settings of the optimizer and of its learning rate.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::decay::Decay;
use crate::{
    numbers,
    settings::{Heading, choice, in_files_only, real, settings, whole, yes_or_no},
    usage,
};
use torchkit::Rule;

settings! {
    /// Settings of the optimizer. The defaults are those of AMDIM's reference implementation.
    pub struct Config {
        /// Optimizer: adam (with an L2 penalty), adamw (with decoupled weight decay), sgd (with momentum) or
        /// lars (as in SimCLR).
        name: OptimizerName = OptimizerName::Adam, choice::<OptimizerName>()
            .flag(Heading::Training, "NAME").named("optimizer").hide_choices().default("by method; with amdim adam");
        /// Learning rate after the warm-up.
        lr: f64 = 2e-4, real(numbers::RATE).flag(Heading::Training, "X").after("clip_norm")
            .default("by method; with amdim 2e-4");
        /// Factor of the learning rate that depends on the number n of samples in a step: none, linear (n /
        /// 256) or sqrt (√n).
        lr_scaling: LrScaling = LrScaling::None, choice::<LrScaling>().flag(Heading::Training, "RULE")
            .after("lr").hide_choices().default("by method; with amdim none");
        /// Decay rates of the first and the second moment of adam and adamw.
        betas: [f64; 2] = [0.8, 0.999], real(numbers::DECAY);
        /// ε of adam and adamw, added to the root of the second moment.
        eps: f64 = 1e-8, real(numbers::EPS);
        /// Momentum of sgd and lars.
        momentum: f64 = 0.9, real(numbers::DECAY).flag(Heading::Training, "X");
        /// Whether sgd uses Nesterov momentum.
        nesterov: bool = false, yes_or_no();
        /// η of the trust ratio of lars, η·‖w‖/‖g‖.
        eta: f64 = 1e-3, real(numbers::FACTOR);
        /// Weight decay: weight of an L2 penalty on the parameters; with adamw, decoupled from the gradients.
        weight_decay: f64 = 1e-5, real(numbers::PENALTY).flag(Heading::Training, "X")
            .default("by method; with amdim 1e-5");
        /// Tensors without weight decay and trust ratio: none or `norms_and_biases`, which are all tensors of
        /// one dimension. Unset means `norms_and_biases` with lars, none otherwise.
        exclude: Option<Exclude> = None, in_files_only();
        /// Largest norm of the gradients; larger ones are scaled down to it.
        clip_norm: Option<f64> = None, real(numbers::LIMIT).flag(Heading::Training, "X").default("none");
        /// Steps over which the learning rate rises.
        warmup_steps: Option<u64> = None, whole(numbers::COUNT_OR_NONE).flag(Heading::Training, "N")
            .default("by method; with amdim 500, at most a tenth of the run");
        /// Epochs over which the learning rate rises, but at most a tenth of the run.
        warmup_epochs: Option<f64> = None, real(numbers::EPOCHS_OR_NONE).flag(Heading::Training, "X")
            .conflicts_with("warmup_steps").default("10 with simclr, else none: see --warmup-steps");
        /// Start of a warm-up of N updates: one (update i, counted from 0, has (i + 1) / N of the learning
        /// rate) or zero (i / N, so that the first update has the rate 0).
        warmup_from: WarmupFrom = WarmupFrom::One, choice::<WarmupFrom>();
        /// Shares of the run after which the learning rate drops.
        drop_at: Vec<f64> = vec![30.0 / 50.0, 45.0 / 50.0], real(numbers::SHARE_OF_RUN);
        /// How the learning rate falls after the warm-up: published (it drops after the shares of the run in
        /// the paper), reference (one epoch later, as the reference implementation of AMDIM counts: after 251
        /// and 281 of 300 epochs, 31 and 46 of 50), cosine (half a cosine, to 0 at the end of the run) or
        /// constant (it stays).
        schedule: Decay = Decay::Published, choice::<Decay>().flag(Heading::Training, "HOW").hide_choices()
            .default("by method; with amdim published");
        /// Factor of the learning rate at each drop.
        drop_factor: f64 = 0.2, real(numbers::FACTOR);
    }
}

/// An optimizer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Adam with L2 weight decay.
    #[default]
    Adam,
    /// Adam with decoupled weight decay.
    AdamW,
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Layer-wise adaptive rates.
    Lars,
}

impl OptimizerName {
    /// Returns the name of the choice on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adam => "adam",
            Self::AdamW => "adamw",
            Self::Sgd => "sgd",
            Self::Lars => "lars",
        }
    }
}

/// The factor of the learning rate that depends on the number of samples in a step, over all processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LrScaling {
    /// A factor of 1.
    #[default]
    None,
    /// The number of samples divided by 256 (Goyal et al. 2017, <https://arxiv.org/abs/1706.02677>).
    Linear,
    /// The square root of the number of samples.
    Sqrt,
}

/// Tensors without weight decay and trust ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exclude {
    /// No tensors.
    None,
    /// All tensors of one dimension: the scales and offsets of norms, and biases.
    NormsAndBiases,
}

/// The learning rate at the beginning of the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum WarmupFrom {
    /// 1 / N of the full rate, for a warm-up of N updates.
    #[default]
    One,
    /// A rate of 0.
    Zero,
}

/// A note that a run was lengthened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lengthened {
    /// The number of steps made until then.
    pub at: u64,
    /// The length of the run, in steps, before it was lengthened.
    pub from: u64,
}

impl Config {
    /// Checks that the settings do not contradict each other.
    ///
    /// # Errors
    ///
    /// If Nesterov momentum is set without SGD or without a momentum above 0.
    pub(crate) fn check(&self) -> Result<()> {
        if self.nesterov && (self.name != OptimizerName::Sgd || self.momentum <= 0.0) {
            return Err(usage!(
                "`optim.nesterov` = true needs sgd with a momentum, but `optim.name` is {} and `optim.momentum` is {}", self.name.name(), self.momentum;
                "set `optim.nesterov` = false, or use sgd with a momentum above 0"
            ));
        }
        Ok(())
    }

    /// Returns whether a parameter with this number of dimensions has neither weight decay nor a trust ratio.
    pub(super) fn excludes(&self, dimensions: usize) -> bool {
        let default = match self.name {
            OptimizerName::Lars => Exclude::NormsAndBiases,
            _ => Exclude::None,
        };
        self.exclude.unwrap_or(default) == Exclude::NormsAndBiases && dimensions == 1
    }

    /// Returns the rule of the parameters that are excluded from weight decay and trust ratio, or of the
    /// others.
    pub(super) fn rule(&self, is_excluded: bool) -> Rule {
        let &Self { betas, eps, momentum, .. } = self;
        let weight_decay = if is_excluded { 0.0 } else { self.weight_decay };
        match self.name {
            OptimizerName::Adam => Rule::Adam { betas, weight_decay, eps, is_decoupled: false },
            OptimizerName::AdamW => Rule::Adam { betas, weight_decay, eps, is_decoupled: true },
            OptimizerName::Sgd => Rule::Sgd { momentum, is_nesterov: self.nesterov, weight_decay },
            OptimizerName::Lars => {
                Rule::Lars { momentum, weight_decay, eta: (!is_excluded).then_some(self.eta) }
            }
        }
    }
}
