//! The fall of the learning rate.

use serde::{Deserialize, Serialize};

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// It drops by a factor after the published shares of the run.
    #[default]
    Published,
    /// It drops by a factor one epoch later, as the reference implementation counts: its scheduler steps when
    /// the next epoch has begun.
    Reference,
    /// It follows half a cosine from the end of the warm-up to 0 at the end of the run, update by update.
    Cosine,
    /// It does not fall.
    Constant,
}
