//! A run under way: everything that its loop changes, and what follows from it.

use std::time::Duration;

use anyhow::Result;
use pipeline::LoaderConfig;
use shards::{Order, Position};
use tch::Device;
use torchkit::Precision;

use super::{
    bottleneck::Choices,
    trainer::{Checking, Trainer},
};
use crate::{
    checkpoint::{DataIdentity, State},
    config::Config,
    data::{self, Data},
    feed::Feed,
    run::lock::RunLock,
    world::World,
};

/// What a run consists of, once everything that can be refused has been.
pub(crate) struct Run {
    pub(crate) config: Config,
    pub(crate) data: Data,
    pub(crate) device: Device,
    pub(crate) trainer: Trainer,
    /// What keeps others out of the run folder, and knows the step under way; none where nothing is trained.
    pub(crate) lock: Option<RunLock>,
    pub(crate) position: Position,
    pub(crate) steps: u64,
    pub(crate) batch_size: usize,
    /// Threads of libtorch, where it computes on the CPU.
    pub(crate) threads: Option<usize>,
    /// The step of the last checkpoint.
    pub(crate) saved: Option<u64>,
    /// What took longest so far.
    pub(crate) longest: Longest,
    /// Whether the device works while the host goes on. Its numbers are read a step later then: it always has a step to make.
    pub(crate) is_queued: bool,
    /// Steps whose numbers are on their way to the host.
    pub(crate) checking: Option<Checking>,
    /// Where the samples stood before each step whose numbers were not looked at yet, the step with it.
    pub(crate) unchecked: Vec<(u64, Position)>,
    /// Records one after the other whose loss was at its chance level.
    pub(crate) at_chance: u32,
}

/// How long the longest save and the longest step took; zero before the first.
#[derive(Debug, Default)]
pub(crate) struct Longest {
    pub(crate) save: Duration,
    pub(crate) step: Duration,
}

impl Run {
    /// What is trained with, in words.
    pub(crate) fn means(&self) -> String {
        format!(
            "batches of {} on {} in {}; threads: {} decode{}",
            self.batch_size,
            torchkit::name(self.device),
            self.config.train.precision,
            data::workers(&self.config),
            self.threads.map_or(String::new(), |threads| format!(", {threads} compute")),
        )
    }

    /// The order of the training samples.
    pub(crate) fn order(&self) -> Order {
        order(&self.config)
    }

    pub(crate) fn feed(&self) -> Result<Feed> {
        let world = self.trainer.world();
        feed(&self.config, &self.data, self.batch_size, self.position, self.device, world)
    }

    /// What might be chosen otherwise, if something holds the run up.
    pub(crate) fn choices(&self) -> Choices {
        let (run, train) = (&self.config.run, &self.config.train);
        Choices {
            cores: data::cores(),
            workers: data::workers(&self.config),
            decode: self.config.data.decode,
            threads: self.threads,
            precision: train.precision,
            native: Precision::Auto.on(self.device),
            graph: self.device.is_cuda().then_some(run.cuda_graph),
            checkpoint_blocks: train.checkpoint_blocks,
            accumulate: train.accumulate,
        }
    }

    /// How long it takes at most to end in order: the step under way, and a checkpoint.
    pub(crate) fn closing_time(&self) -> Duration {
        /// Bytes that are written a second where nothing was written yet: a slow disk.
        const BYTES: f64 = 50e6;
        let Longest { save, step } = self.longest;
        let first = || Duration::from_secs_f64(12.0 * self.trainer.network().parameters() as f64 / BYTES);
        let save = if save.is_zero() { first() } else { save };
        2 * (save + step) + Duration::from_secs(1)
    }

    /// Epochs gone by, with their fraction.
    pub(crate) fn epoch(&self) -> f64 {
        self.position.epoch as f64 + self.position.offset as f64 / self.data.train.len() as f64
    }

    /// What a checkpoint says beside the tensors.
    pub(crate) fn state(&self, step: u64, position: Position) -> State {
        let (data, classes) = (DataIdentity::of(&self.data.train), self.data.classes);
        let class_names = self.data.class_names.clone();
        State { step, position, data, classes, class_names, config: self.config.clone() }
    }
}

/// The order of the training samples.
fn order(config: &Config) -> Order {
    Order { seed: config.seed, shuffle: config.data.shuffle, epochs: None }
}

/// Endless batches for training, from a position on, of the samples of this process.
pub(crate) fn feed(
    config: &Config,
    data: &Data,
    batch_size: usize,
    position: Position,
    device: Device,
    world: World,
) -> Result<Feed> {
    let samples = data.train.samples(order(config), world.share(), position);
    let recipe = config.method.recipe(config.preset);
    let loader = LoaderConfig { seed: config.seed, drop_last: true, ..data::loader(config, batch_size) };
    Feed::spawn(samples, recipe, config.preset.normalization(), &loader, device)
}
