//! Objectives with their heads: what a step optimizes.

pub mod amdim;

use anyhow::Result;
use pipeline::{Preset, Recipe};
use serde::{Deserialize, Serialize};
use tch::{Tensor, nn::Path};

use crate::{
    encoder::{self, Encoder},
    views::Views,
};
use torchkit::Precision;

/// What a method makes of a batch, without a graph.
#[derive(Debug)]
pub struct Loss {
    /// The scalar that is minimized.
    pub total: Tensor,
    /// Its scalar parts, each under the name it is logged by.
    pub parts: Vec<(&'static str, Tensor)>,
    /// Features (v·n, width) view after view, for the online probe.
    pub features: Tensor,
}

/// How a step is computed. What comes out does not depend on it, but for rounding and, in parts of a batch, for the
/// statistics of batch norms.
#[derive(Debug, Clone, Copy)]
pub struct ComputeOptions {
    /// What the encoder is computed in.
    pub precision: Precision,
    /// Parts of the batch that are encoded one after the other.
    pub parts: i64,
    /// Whether to keep the inputs of blocks alone for the way back.
    pub by_block: bool,
}

/// An objective for training an encoder without labels.
pub trait Method {
    /// The loss of one batch, whose gradients are added to those of the parameters; batch norms are in training mode.
    ///
    /// Recorded once and replayed on a device that can: what differs from step to step has to lie in tensors, as nothing else of
    /// this and of [`after_step`](Self::after_step) is done again.
    fn backward(&self, views: &Views, compute: ComputeOptions) -> Result<Loss>;

    /// The loss to expect from features that say nothing, for a batch of `n` samples.
    fn chance(&self, n: i64) -> f64;

    /// The largest batch whose tensors all have at most 2³¹ − 1 elements, if it is encoded in so many parts: CUDA's kernels count
    /// in 32 bits.
    fn largest_batch(&self, parts: i64) -> i64;

    /// Multiply-accumulates of a step with `n` samples: convolutions, scores and both of their products on the way back. What is
    /// computed again to save memory is not counted.
    fn macs(&self, n: i64) -> f64;

    /// What is trained for use elsewhere.
    fn encoder(&self) -> &dyn Encoder;

    /// Called after every update; momentum encoders and queues move here.
    fn after_step(&mut self) {}
}

/// Which method, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum MethodConfig {
    /// AMDIM (Bachman et al. 2019).
    Amdim(amdim::Config),
}

impl Default for MethodConfig {
    fn default() -> Self {
        Self::Amdim(amdim::Config::default())
    }
}

impl MethodConfig {
    /// The views that the method wants of each image.
    pub fn recipe(&self, preset: Preset) -> Recipe {
        match self {
            Self::Amdim(_) => preset.recipe(),
        }
    }

    /// The method with a freshly initialized encoder for images of `side`, its tensors named under `path`.
    pub fn build(&self, path: &Path, side: u32, encoder: &encoder::amdim::Config) -> Box<dyn Method> {
        match self {
            Self::Amdim(config) => Box::new(amdim::Amdim::new(path, side, encoder, config)),
        }
    }
}
