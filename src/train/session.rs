//! A run in progress: everything that the loop changes, and what follows from it.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use pipeline::{BadSample, BadSampleBudget, LoaderConfig};
use serde::{Deserialize, Serialize};
use shards::{Order, Position};
use tch::{Device, Kind};
use torchkit::{Piece, Precision};

use super::{pending::Pending, trainer::Trainer};
use crate::{
    checkpoint::{DataIdentity, HostCopies, State, Writer},
    config::{Config, DataConfig},
    data::{self, Data},
    feed::{DeviceBatch, Feed},
    metrics::Choices,
    observe::prometheus,
    run::lock::{RunLock, StepStart},
    world::World,
};

/// A run once everything that can be refused has been checked.
pub(crate) struct Run {
    pub(crate) config: Config,
    pub(crate) data: Data,
    pub(crate) device: Device,
    pub(crate) world: World,
    pub(crate) trainer: Trainer,
    /// Writes checkpoints while training goes on. It is dropped before the lock.
    pub(crate) writer: Writer,
    /// The lock on the run folder, which notes the step under way. None where nothing is trained, and on
    /// processes that do not lead.
    pub(crate) lock: Option<RunLock>,
    pub(crate) position: Position,
    pub(crate) steps: u64,
    pub(crate) batch_size: usize,
    /// Threads of libtorch, where it computes on the CPU.
    pub(crate) threads: Option<usize>,
    /// The step of the last checkpoint, which may still be on its way to the disk.
    pub(crate) saved: Option<u64>,
    /// The longest save and the longest step so far.
    pub(crate) longest: LongestTimes,
    /// Whether the device works while the host goes on. The numbers of a step are then read a step later, so
    /// that the device always has work.
    pub(crate) is_queued: bool,
    /// Whether the fused pieces are to be compared with their plain forms on the first batch.
    pub(crate) is_fused_unproved: bool,
    /// The numbers that are on their way to the host, and the checkpoint that waits for them.
    pub(crate) pending: Option<Pending>,
    /// Copies the tensors of checkpoints.
    pub(crate) host_copies: HostCopies,
    /// The steps whose numbers were not checked yet.
    pub(crate) unchecked: Vec<StepStart>,
    /// Successive records whose loss was at chance level.
    pub(crate) at_chance: u32,
    /// Whether the method has warned of a loss.
    pub(crate) has_alarmed: bool,
    /// The bad samples that this process has met, the last of them, and the samples that it has taken.
    pub(crate) met: MetSamples,
    /// The numbers for Prometheus, if they are served.
    pub(crate) gauges: Option<Arc<prometheus::State>>,
}

/// The samples that a process has met in training.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct MetSamples {
    pub(crate) bad: u64,
    pub(crate) last_bad: Option<BadSample>,
    pub(crate) all: u64,
}

impl MetSamples {
    /// Adds those of a batch.
    pub(crate) fn add(&mut self, batch: &DeviceBatch) {
        self.bad += batch.bad_samples.len() as u64;
        self.all += batch.views.labels.size()[0].cast_unsigned() + batch.bad_samples.len() as u64;
        if let Some(last) = batch.bad_samples.last() {
            self.last_bad = Some(last.clone());
        }
    }
}

/// How long the longest save and the longest step took; zero before the first.
#[derive(Debug, Default)]
pub(crate) struct LongestTimes {
    pub(crate) save: Duration,
    pub(crate) step: Duration,
}

impl Run {
    /// Describes the training samples: `60000 samples (classes: 10), shards: 3`.
    pub(crate) fn data_in_words(&self) -> String {
        let (samples, labelled) = (self.data.train.len(), self.data.train.labelled());
        let classes = match self.data.classes {
            None => "no labels".to_owned(),
            Some(classes) if labelled < samples => format!("{labelled} labelled, classes: {classes}"),
            Some(classes) => format!("classes: {classes}"),
        };
        format!("{samples} samples ({classes}), shards: {}", self.data.train.shards().len())
    }

    /// Describes batch size, device, precision and threads:
    /// `batches of 64 on cpu in f32; threads: 8 decode, 4 compute`.
    pub(crate) fn machine_in_words(&self) -> String {
        format!(
            "batches of {} on {} in {}; threads: {} decode{}",
            self.batch_size,
            torchkit::name(self.device),
            self.config.train.precision,
            data::workers(&self.config),
            self.threads.map_or(String::new(), |threads| format!(", {threads} compute")),
        )
    }

    /// Returns the order of the training samples.
    pub(crate) fn order(&self) -> Order {
        order(&self.config)
    }

    /// Starts the feed of training batches at the run's position.
    pub(crate) fn feed(&self) -> Result<Feed> {
        feed(&self.config, &self.data, self.batch_size, self.position, self.device, self.world)
    }

    /// Returns the settings that decide how fast the run is.
    pub(crate) fn choices(&self) -> Choices {
        let (run, train) = (&self.config.run, &self.config.train);
        Choices {
            cores: data::cores(),
            workers: data::workers(&self.config),
            decode: self.config.data.decode,
            threads: self.threads,
            precision: train.precision,
            native: self.config.fastest_precision(self.device),
            graph: self.device.is_cuda().then_some(run.cuda_graph),
            checkpoint_blocks: train.checkpoint_blocks,
            accumulate: train.accumulate,
            size_flags: self.config.encoder.chosen().size_flags(),
        }
    }

    /// Returns an upper bound on the time that an orderly end takes: the step under way, a checkpoint, and the
    /// one that is being written.
    pub(crate) fn closing_time(&self) -> Duration {
        /// Bytes that a slow disk writes in a second, for the first checkpoint.
        const BYTES: f64 = 50e6;
        let LongestTimes { save, step } = self.longest;
        let first = || Duration::from_secs_f64(12.0 * self.trainer.network().parameters() as f64 / BYTES);
        let save = if save.is_zero() { first() } else { save };
        let begun = if self.writer.is_busy() { save } else { Duration::ZERO };
        2 * (save + step) + begun + Duration::from_secs(1)
    }

    /// Returns the number of samples in an epoch.
    pub(crate) fn samples_an_epoch(&self) -> u64 {
        self.config.data.samples_an_epoch(self.data.trained.len())
    }

    /// Epochs trained, with their fraction.
    pub(crate) fn epoch(&self) -> f64 {
        let of_partition = self.samples_an_epoch() / self.config.data.partitions as u64;
        self.position.epoch as f64 + self.position.offset as f64 / of_partition as f64
    }

    /// Returns the state of a checkpoint at `step`, with the samples at `position`.
    pub(crate) fn state(&self, step: u64, position: Position) -> State {
        let (data, classes) = (DataIdentity::of(&self.data.train), self.data.classes);
        let class_names = self.data.class_names.clone();
        State { step, position, data, classes, class_names, config: self.config.clone() }
    }
}

/// Returns the order of the training samples.
fn order(config: &Config) -> Order {
    let DataConfig { shuffle, partitions, .. } = config.data;
    Order { seed: config.seed, shuffle, partitions, epochs: None }
}

/// Returns the kind of images that the encoder gets: bf16 where it computes in it on a GPU, unless it converts
/// colours first.
pub fn image_kind(config: &Config, device: Device) -> Kind {
    let is_half = config.precision_on(device) == Precision::Bf16 && !config.encoder.is_split();
    if device.is_cuda() && is_half && Piece::Input.is_fused() { Kind::BFloat16 } else { Kind::Float }
}

/// Starts a feed of endless training batches, from `position` on, with this process's samples of each. The
/// batches of all processes together have `batch_size` samples.
pub(crate) fn feed(
    config: &Config,
    data: &Data,
    batch_size: usize,
    position: Position,
    device: Device,
    world: World,
) -> Result<Feed> {
    let division = world.division(batch_size, config.train.accumulate);
    let samples = data.trained.samples(order(config), division, position);
    let recipe = config.recipe();
    let mut share = data::loader(config, batch_size / world.size());
    if world.has_others() {
        share.max_bad = BadSampleBudget::Count(u64::MAX); // those of all processes are counted together
    }
    let loader = LoaderConfig { seed: config.seed, drop_last: true, ..share };
    let normalized = (config.normalization(), image_kind(config, device));
    Feed::spawn(samples, recipe, normalized, &loader, device)
}
