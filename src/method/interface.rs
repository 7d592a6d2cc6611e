//! The traits of a method: its settings and its objective.

use std::fmt::Debug;

use anyhow::Result;
use pipeline::{Normalization, Preset, Recipe};
use tch::{Tensor, nn::Path};

use super::compute::ComputeOptions;
use crate::{
    encoder::{Embedder, Encoder, EncoderConfig},
    hint::Notice,
    loss::Scores,
    optim,
    settings::Setting,
    views::Views,
    world::World,
};

/// The settings of a method: its name, the recipe of its views and its constructor.
pub trait MethodSettings: Debug {
    /// Returns the name of the method in settings, `method.name`.
    fn name(&self) -> &'static str;

    /// Returns the settings as they appear in a file and on the command line.
    fn settings(&self) -> Vec<Setting>;

    /// Returns the preset of a run that names none. By default it is ImageNet at 224 pixels.
    fn preset(&self) -> Preset {
        Preset::In224
    }

    /// Returns the published settings for a preset.
    fn defaults(&self, preset: Preset) -> Defaults;

    /// Returns the recipe of the views of `side` pixels, which also decides their number. By default it is
    /// that of the preset, with two views.
    fn recipe(&self, preset: Preset, side: u32) -> Recipe {
        preset.recipe_of(side)
    }

    /// Returns the samples that a run trains on out of a set of `total`, by their indices in ascending order;
    /// `None` for all of them.
    fn subset(&self, _total: u64, _seed: u64) -> Option<Vec<u64>> {
        None
    }

    /// Adapts the default settings of an encoder to the method. By default they stay as they are.
    fn adapt(&self, encoder: EncoderConfig) -> EncoderConfig {
        encoder
    }

    /// Returns the published normalization of the inputs, where it is not that of the preset.
    fn normalization(&self, _preset: Preset) -> Option<Normalization> {
        None
    }

    /// Checks that the method can train this encoder. By default it can train any.
    ///
    /// # Errors
    ///
    /// If the method cannot train this encoder.
    fn check(&self, _encoder: &EncoderConfig) -> Result<()> {
        Ok(())
    }

    /// Returns the least number of views of the run's side, if the method can train on any number of them and
    /// then on views of smaller sides. By default it needs the views of its [`recipe`](Self::recipe).
    fn least_views(&self) -> Option<usize> {
        None
    }

    /// Returns a lower bound of the numbers in the heads and the queue for features of `width` channels. A
    /// file that claims these settings must have as many before anything of their size is built. By default
    /// there are none.
    fn head_numbers(&self, _width: i64) -> i64 {
        0
    }

    /// Returns a warning of settings that do not suit a training set, for the beginning of a run.
    fn warning(&self, _set: TrainingSet) -> Option<Notice> {
        None
    }

    /// Builds the method with a freshly initialized encoder. Its tensors are named under `path`, those of the
    /// encoder under `path/encoder`.
    ///
    /// # Errors
    ///
    /// If [`check`](Self::check) refuses the encoder.
    fn build(&self, path: &Path, set: TrainingSet, encoder: &EncoderConfig) -> Result<Box<dyn Method>>;
}

/// The set, the views and the seed that a method trains with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingSet {
    /// The width and height of the images that the encoder is built for, in pixels.
    pub side: u32,
    /// The width and height of each view, in pixels.
    pub views: Vec<u32>,
    /// The number of samples, which is also the number of rows of a memory bank.
    pub samples: u64,
    /// The seed of the run.
    pub seed: u64,
}

/// The published settings of a method for a preset. Flags and files replace each of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// The encoder.
    pub encoder: EncoderConfig,
    /// The optimizer and the schedule.
    pub optim: optim::Config,
    /// The number of samples in a batch on a GPU.
    pub batch_size: usize,
    /// The number of passes over the dataset.
    pub epochs: f64,
}

/// The objective of a batch.
#[derive(Debug)]
pub struct Objective {
    /// The scalar that is minimized, with a graph.
    pub total: Tensor,
    /// The scalar that is logged as the loss.
    pub loss: Tensor,
    /// Its scalar parts, each with the name it is logged under.
    pub parts: Vec<(&'static str, Tensor)>,
}

/// What a method may warn of.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    /// The number of steps so far.
    pub step: u64,
    /// The number of samples of a step.
    pub samples: i64,
    /// The number of groups of them that batch norms normalize separately.
    pub norm_groups: i64,
    /// The loss of a record.
    pub loss: f64,
}

/// What processes that train together send each other of each sample, besides gradients of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchanged {
    /// The bytes that the sample's process sends to each other process for the objective: what is gathered, in
    /// f32, and the gradients that come back.
    pub bytes: i64,
    /// The number of feature vectors that the online probe is trained on.
    pub features: i64,
    /// The number of batches of views that batch norms normalize, one after the other.
    pub norm_batches: i64,
}

/// A method that trains an encoder without labels.
///
/// All of its state is in tensors under the path that it is built with, so checkpoints contain it: trained
/// parameters, and state that is not trained, such as queues, memory banks and momentum encoders. On a CUDA
/// device a step is recorded once as a graph and then replayed: whatever differs from step to step must be in
/// tensors, because the Rust code of these functions is not run again.
pub trait Method: Debug {
    /// Returns the network that maps views to the embeddings that [`objective`](Self::objective) takes.
    fn embedder(&self) -> &dyn Embedder;

    /// Prepares a step before anything is embedded: momentum encoders follow the parameters here, and encode
    /// what the objective compares embeddings with.
    ///
    /// # Errors
    ///
    /// If the device cannot compute in the requested precision.
    fn before_step(&mut self, _views: &Views, _compute: ComputeOptions) -> Result<()> {
        Ok(())
    }

    /// Returns the objective of the batch of all processes of `world`, for the embeddings (v, n, …) and the views
    /// of this one. Its gradient is propagated to `embeddings` and to parameters that only the objective uses; the
    /// mean of these gradients over the processes is that of the whole batch.
    ///
    /// Most methods gather what they compare ([`World::gather`]), and every process computes the whole objective.
    fn objective(&self, embeddings: &[Tensor], views: &Views, world: World) -> Objective;

    /// Returns the scores that the objective compares, or some that are distributed alike: those of this process's samples
    /// and the batch of all, without a graph. No random number may be drawn. By default there are none.
    fn scores(&self, _embeddings: &[Tensor], _views: &Views, _world: World) -> Vec<Scores> {
        vec![]
    }

    /// Returns features (v, n, width) of the samples of this process for the online probe, taken from their
    /// embeddings.
    fn features(&self, embeddings: &[Tensor]) -> Tensor;

    /// Returns the loss to expect from features without information, for a batch of `n` samples.
    fn chance(&self, n: i64) -> f64;

    /// Returns the largest batch of a process whose tensors all have at most 2³¹ − 1 elements, if it is
    /// encoded in `parts` parts and the objective compares the embeddings of so many processes. CUDA kernels
    /// count in 32 bits.
    fn largest_batch(&self, parts: i64, processes: i64) -> i64;

    /// Returns what the processes of a run send each other of each sample in a step in which batch norms normalize
    /// `norm_groups` groups of a batch separately.
    fn exchanged(&self, norm_groups: i64) -> Exchanged;

    /// Returns the number of multiply-accumulates of a step with `n` samples: convolutions and scores,
    /// forward and backward. Activations that are computed twice to save memory are counted once.
    fn macs(&self, n: i64) -> f64;

    /// Returns the encoder that is trained.
    fn encoder(&self) -> &dyn Encoder;

    /// Returns the parameters that no embedding depends on, so that they get no gradient, also those of momentum encoders.
    /// By default they are those that the features of the encoder do not depend on.
    fn idle(&self) -> Vec<&Tensor> {
        self.encoder().idle()
    }

    /// Updates queues and memory banks. It is called after each step.
    ///
    /// `is_broken` is a scalar on the device: 1 if the parameters were not updated, because the loss or a
    /// gradient was not finite in this step or an earlier one, and else 0. The host does not know it yet. If
    /// it is 1, all state must stay as it was before the step, or be restored to it, because a crash folder
    /// holds the state before the broken step. Select the old value by `where_self`, not by a factor, since 0
    /// · NaN is NaN. For the same reason [`objective`](Self::objective) must not change state; it passes
    /// values to this function in tensors that have no name.
    fn after_step(&mut self, _is_broken: &Tensor) {}

    /// Returns the bytes of state that grows with the set or with a setting, such as queues and memory banks,
    /// each with its name.
    fn state_bytes(&self) -> Vec<(&'static str, u64)> {
        vec![]
    }

    /// Returns the number of groups of a part of `samples` samples that batch norms normalize separately, if the
    /// settings name none. By default it is one.
    fn norm_groups(&self, _samples: i64) -> i64 {
        1
    }

    /// Returns a warning if a record indicates a fault. The run shows only the first one.
    fn alarm(&self, _recorded: Recorded) -> Option<Notice> {
        None
    }

    /// Copies the encoder to a momentum encoder, if the method has one. It is called after the tensors of the
    /// encoder were replaced by those of another run (`--warm-start`).
    fn after_warm_start(&mut self) {}
}
