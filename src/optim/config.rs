//! Settings of the optimizer and of its learning rate.

use serde::{Deserialize, Serialize};

/// Settings of the optimizer; the defaults are the reference's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Decay of the mean gradient and of the mean squared gradient.
    pub betas: [f64; 2],
    /// Added to the root of the mean squared gradient.
    pub eps: f64,
    /// Added to the gradient times the parameter (L2, not decoupled).
    pub weight_decay: f64,
    /// The largest norm of all gradients together; they are scaled down to it. Unset: they are taken as they are.
    pub clip_norm: Option<f64>,
    /// Updates over which the learning rate rises linearly. Unset: 500, a tenth of the run at most.
    pub warmup_steps: Option<u64>,
    /// Shares of the run after which the learning rate drops …
    pub drop_at: Vec<f64>,
    /// … or when else.
    pub schedule: Drops,
    /// What a drop multiplies the learning rate by.
    pub drop_factor: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lr: 2e-4,
            betas: [0.8, 0.999],
            eps: 1e-8,
            weight_decay: 1e-5,
            clip_norm: None,
            warmup_steps: None,
            drop_at: vec![30.0 / 50.0, 45.0 / 50.0],
            schedule: Drops::Published,
            drop_factor: 0.2,
        }
    }
}

/// When the learning rate drops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Drops {
    /// After the published shares of the run.
    #[default]
    Published,
    /// One epoch later, as the reference implementation counts: its scheduler learns of an epoch when the next one has begun.
    Reference,
}

impl Drops {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Reference => "reference",
        }
    }
}

/// When a run was given more steps than it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lengthened {
    /// Steps that were made by then.
    pub at: u64,
    /// Steps that the run was to have until then.
    pub from: u64,
}
