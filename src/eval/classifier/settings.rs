//! The settings of a classifier.

use pipeline::Preset;
use serde::Serialize;

use crate::optim::{self, Decay};

/// The kind of a classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// One affine map.
    Linear,
    /// One hidden layer of 1024, batch norm, dropout.
    Mlp,
}

/// The protocol of fitting a classifier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The encoder is in evaluation mode and does not change, and the learning rate warms up.
    #[default]
    Frozen,
    /// The protocol of the reference implementation: there is no warm-up and the learning rate drops one
    /// epoch late. The encoder is in training mode, so that features are normalized by each batch and the
    /// running statistics move. The weights of the classifier's norm are drawn from 0 to 1, and the norms
    /// take in 50 batches of validation images before the evaluation.
    Reference,
}

impl Protocol {
    /// Returns the name on the command line.
    pub(in crate::eval) fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Reference => "reference",
        }
    }
}

/// The settings of fitting a classifier.
#[derive(Debug, Clone, Serialize)]
pub struct Fit {
    /// The protocol.
    pub protocol: Protocol,
    /// The passes over the training samples.
    pub epochs: f64,
    /// The learning rate after the warm-up.
    pub lr: f64,
    /// The samples in a step.
    pub batch_size: usize,
    /// The steps over which the learning rate rises. None means 500, or a tenth of all steps if that is less.
    pub warmup_steps: Option<u64>,
    /// The rule for when the learning rate drops.
    pub schedule: Decay,
    /// The seed of shuffling, augmentation and initialization.
    pub seed: u64,
}

impl Fit {
    /// Returns the published number of epochs for the preset's kind of data.
    pub fn epochs(preset: Preset) -> f64 {
        preset.classifier_epochs()
    }

    /// Returns the settings of Adam: those of training, with the published drops of the learning rate.
    pub(super) fn optimizer(&self, preset: Preset) -> optim::Config {
        let drop_at = preset.classifier_drop_at().to_vec();
        let &Self { lr, warmup_steps, schedule, .. } = self;
        optim::Config { lr, warmup_steps, drop_at, schedule, ..optim::Config::default() }
    }
}
