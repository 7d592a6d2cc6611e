//! What an evaluation is told.

use std::path::PathBuf;

use pipeline::Preset;
use serde_json::{Value, json};
use torchkit::DeviceChoice;

use super::{
    classifier::{Fit, HeadKind, Protocol},
    finetune::Finetune,
    knn::Vote,
};
use crate::optim::Drops;

/// What every evaluation needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// A run folder or one of its checkpoints.
    pub checkpoint: PathBuf,
    /// Shards to fit on; none: those of the run.
    pub shards: Vec<String>,
    /// Shards to judge by; none: those of the run.
    pub val_shards: Vec<String>,
    /// Evaluate the encoder at its initialization too.
    pub baseline: bool,
    /// Where features are computed.
    pub device: DeviceChoice,
    /// Decoding threads; none: one a core.
    pub workers: Option<usize>,
    /// What all that is drawn derives from.
    pub seed: u64,
}

/// How an encoder is judged.
#[derive(Debug, Clone)]
pub enum Evaluation {
    /// A classifier on frozen features.
    Classifier(Probe),
    /// A linear classifier on frozen features of un-augmented images that is fitted until it has converged.
    Logistic {
        /// Where features are kept; none: in temporary files.
        cache: Option<PathBuf>,
    },
    /// Weighted nearest neighbours.
    Knn {
        /// How they vote.
        vote: Vote,
        /// Where features are kept; none: in temporary files.
        cache: Option<PathBuf>,
    },
    /// Encoder and classifier from few labels.
    Finetune(Finetune),
}

/// A classifier on features that is fitted step by step.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Which one.
    pub head: HeadKind,
    /// Whose way of fitting it is.
    pub protocol: Protocol,
    /// Passes over the samples; none: the published number.
    pub epochs: Option<f64>,
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Samples in a step.
    pub batch_size: usize,
    /// Steps over which the learning rate rises; none: by the protocol.
    pub warmup_steps: Option<u64>,
    /// When the learning rate drops; none: by the protocol.
    pub schedule: Option<Drops>,
    /// Where un-augmented features are kept; none: a new augmented view of each sample in every epoch.
    pub cache: Option<PathBuf>,
}

impl Probe {
    pub(super) fn fit(&self, preset: Preset, seed: u64) -> Fit {
        let &Self { protocol, lr, batch_size, .. } = self;
        let (warmup_steps, schedule) = match protocol {
            Protocol::Frozen => (self.warmup_steps, Drops::Published),
            Protocol::Reference => (self.warmup_steps.or(Some(0)), Drops::Reference),
        };
        let schedule = self.schedule.unwrap_or(schedule);
        let epochs = self.epochs.unwrap_or_else(|| Fit::epochs(preset));
        Fit { protocol, epochs, lr, batch_size, warmup_steps, schedule, seed }
    }
}

impl Evaluation {
    /// As it is called on the command line.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Classifier(Probe { head: HeadKind::Linear, .. }) | Self::Logistic { .. } => "linear",
            Self::Classifier(Probe { head: HeadKind::Mlp, .. }) => "mlp",
            Self::Knn { .. } => "knn",
            Self::Finetune(_) => "finetune",
        }
    }

    pub(super) fn settings(&self, preset: Preset, seed: u64) -> Value {
        match self {
            Self::Classifier(probe) => {
                json!({"fit": probe.fit(preset, seed), "augmented": probe.cache.is_none()})
            }
            Self::Logistic { .. } => json!({"solver": "lbfgs", "seed": seed}),
            Self::Knn { vote, .. } => json!({"k": vote.k, "temperature": vote.temperature}),
            Self::Finetune(settings) => json!(settings),
        }
    }
}
