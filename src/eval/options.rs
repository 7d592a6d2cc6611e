//! The options of evaluations.

use std::path::PathBuf;

use pipeline::Preset;
use serde_json::{Value, json};
use torchkit::DeviceChoice;

use super::{
    classifier::{Fit, HeadKind, Protocol},
    finetune::Finetune,
    knn::Vote,
};
use crate::{optim::Decay, servers::ServerArgs};

/// The options of every evaluation.
#[derive(Debug, Clone)]
pub struct Options {
    /// A run folder or one of its checkpoints.
    pub checkpoint: PathBuf,
    /// The shards to fit on. Empty means those of the run.
    pub shards: Vec<String>,
    /// The shards to evaluate on. Empty means those of the run.
    pub val_shards: Vec<String>,
    /// Whether a freshly initialized encoder is evaluated, too.
    pub baseline: bool,
    /// The device that computes features.
    pub device: DeviceChoice,
    /// The number of decoding threads. None means one per core.
    pub workers: Option<usize>,
    /// The seed of the evaluation.
    pub seed: u64,
    /// How shards on servers are read.
    pub servers: ServerArgs,
}

/// The kind of an evaluation, with its settings.
#[derive(Debug, Clone)]
pub enum Evaluation {
    /// A classifier on frozen features.
    Classifier(Probe),
    /// A linear classifier on frozen features of un-augmented images that is fitted to convergence.
    Logistic {
        /// The folder that features are kept in. None means temporary files.
        cache: Option<PathBuf>,
    },
    /// Weighted nearest neighbours.
    Knn {
        /// The settings of the vote.
        vote: Vote,
        /// The folder that features are kept in. None means temporary files.
        cache: Option<PathBuf>,
    },
    /// Encoder and classifier, fitted to few labels.
    Finetune(Finetune),
}

/// A classifier on features that is fitted with steps on batches.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The kind of the classifier.
    pub head: HeadKind,
    /// The protocol of the fit.
    pub protocol: Protocol,
    /// The passes over the samples. None means the published number.
    pub epochs: Option<f64>,
    /// The learning rate after the warm-up.
    pub lr: f64,
    /// The samples in a step.
    pub batch_size: usize,
    /// The steps over which the learning rate rises. None means those of the protocol.
    pub warmup_steps: Option<u64>,
    /// The rule for when the learning rate drops. None means that of the protocol.
    pub schedule: Option<Decay>,
    /// The folder that un-augmented features are kept in. None means a new augmented view of each sample in
    /// every epoch.
    pub cache: Option<PathBuf>,
}

impl Probe {
    /// Resolves the settings of the fit.
    pub(super) fn fit(&self, preset: Preset, seed: u64) -> Fit {
        let &Self { protocol, lr, batch_size, .. } = self;
        let (warmup_steps, schedule) = match protocol {
            Protocol::Frozen => (self.warmup_steps, Decay::Published),
            Protocol::Reference => (self.warmup_steps.or(Some(0)), Decay::Reference),
        };
        let schedule = self.schedule.unwrap_or(schedule);
        let epochs = self.epochs.unwrap_or_else(|| Fit::epochs(preset));
        Fit { protocol, epochs, lr, batch_size, warmup_steps, schedule, seed }
    }
}

impl Evaluation {
    /// Returns the name on the command line.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Classifier(Probe { head: HeadKind::Linear, .. }) | Self::Logistic { .. } => "linear",
            Self::Classifier(Probe { head: HeadKind::Mlp, .. }) => "mlp",
            Self::Knn { .. } => "knn",
            Self::Finetune(_) => "finetune",
        }
    }

    /// Returns the settings for the file of results.
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
