//! Settings of the optimizer and of its learning rate.

use serde::{Deserialize, Serialize};

use crate::{
    numbers,
    settings::{Heading, choice, real, settings, whole},
};

settings! {
    /// Settings of the optimizer. The defaults are those of the reference implementation.
    pub struct Config {
        /// Learning rate after the warm-up.
        lr: f64 = 2e-4, real(numbers::RATE).flag(Heading::Training, "X").after("clip_norm");
        /// Adam's decay rates of the first and the second moment.
        betas: [f64; 2] = [0.8, 0.999], real(numbers::DECAY);
        /// Adam's ε, added to the root of the second moment.
        eps: f64 = 1e-8, real(numbers::EPS);
        /// Weight of the L2 penalty on parameters, which is added to their gradients (not decoupled).
        weight_decay: f64 = 1e-5, real(numbers::PENALTY);
        /// Largest norm of the gradients; larger ones are scaled down to it.
        clip_norm: Option<f64> = None, real(numbers::LIMIT).flag(Heading::Training, "X").default("none");
        /// Steps over which the learning rate rises.
        warmup_steps: Option<u64> = None, whole(numbers::COUNT_OR_NONE).flag(Heading::Training, "N")
            .default("500, at most a tenth of the run");
        /// Shares of the run after which the learning rate drops.
        drop_at: Vec<f64> = vec![30.0 / 50.0, 45.0 / 50.0], real(numbers::SHARE_OF_RUN);
        /// When the learning rate drops: published (after the shares of the run in the paper) or reference
        /// (one epoch later, as the reference implementation counts: after 251 and 281 of 300 epochs, 31 and
        /// 46 of 50).
        schedule: Drops = Drops::Published, choice::<Drops>().flag(Heading::Training, "WHEN").hide_choices()
            .default("published");
        /// Factor of the learning rate at each drop.
        drop_factor: f64 = 0.2, real(numbers::FACTOR);
    }
}

/// When the learning rate drops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Drops {
    /// After the published shares of the run.
    #[default]
    Published,
    /// One epoch later, as the reference implementation counts: its scheduler steps when the next epoch has
    /// begun.
    Reference,
}

impl Drops {
    /// Returns the name of the choice on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Reference => "reference",
        }
    }
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
