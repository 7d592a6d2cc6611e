//! How fast steps are, on a batch that stays on the device and on batches from shards.

use std::time::{Duration, Instant};

use amdim_stream::{
    config::Config,
    feed::Feed,
    train::{Trainer, image_kind},
    views::{Views, made_up},
};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use pipeline::{DecodeMode, LoaderConfig};
use serde_json::json;
use shards::{Division, IndexConfig, LocalSource, Order, Position, ShardSet};
use tch::Device;
use torchkit::{Accelerator, MemoryWatch, Stream};

use crate::model::{ModelArgs, plain_pieces};

/// A model, and the number of steps to measure.
#[derive(Debug, Args)]
pub(crate) struct StepArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Steps in a round
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// Rounds; their median is reported
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Report the time of each kernel
    #[arg(long)]
    profile: bool,
}

/// A model, and the shards to feed it from.
#[derive(Debug, Args)]
pub(crate) struct FeedArgs {
    #[command(flatten)]
    step: StepArgs,
    /// Patterns of shards
    #[arg(long, required = true, num_args = 1..)]
    shards: Vec<String>,
    /// Decoding threads
    #[arg(long)]
    workers: Option<usize>,
    /// exact or fast
    #[arg(long, default_value = "exact")]
    decode: DecodeMode,
}

/// The number of steps before the first measured one. They choose algorithms and record the graph.
const WARM_UP: usize = 6;

/// Waits until the device has finished all steps. Returns an error if a loss was not finite.
fn finish(trainer: &mut Trainer, device: Device) -> Result<()> {
    trainer.check().map_err(|broken| anyhow!("a loss that is not finite: {:?}", broken.numbers))?;
    Ok(Stream::current(Accelerator::of(device))?.synchronize()?)
}

/// Returns the times in ascending order.
fn sorted(mut milliseconds: Vec<f64>) -> Vec<f64> {
    milliseconds.sort_by(f64::total_cmp);
    milliseconds
}

/// Returns a batch of noise that stays on the device, of the kind that a run feeds.
fn resident(config: &Config, samples: usize, device: Device) -> Views {
    let mut views = made_up(&config.recipe(), samples, device);
    let kind = image_kind(config, device);
    views.groups = views.groups.iter().map(|images| images.to_kind(kind)).collect();
    views
}

/// Times rounds of steps on a batch that stays on the device.
pub(crate) fn step(device: Device, args: &StepArgs) -> Result<()> {
    let watch = MemoryWatch::start(Accelerator::of(device))?;
    args.model.settle()?;
    let config = args.model.config()?;
    let samples = args.model.batch_size;
    let mut trainer = args.model.trainer(&config, device)?;
    let views = resident(&config, samples, device);
    for _ in 0..WARM_UP {
        trainer.step(&views)?;
    }
    finish(&mut trainer, device)?;
    // Choosing algorithms takes memory that no later step needs.
    watch.reset()?;
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        let start = Instant::now();
        for _ in 0..args.steps {
            trainer.step(&views)?;
        }
        finish(&mut trainer, device)?;
        rounds.push(start.elapsed().as_secs_f64() * 1e3 / args.steps as f64);
    }
    // A graph's memory is reserved in a pool and belongs to no tensor between steps.
    let bytes = match Accelerator::of(device) {
        Some(accelerator) if trainer.is_recorded() => torchkit::reserved_memory(accelerator)?,
        _ => watch.peak()?,
    };
    drop(watch); // the profiler and the watch of the CPU use the same hook
    let rounds = sorted(rounds);
    let kernels = if args.profile { Some(kernels(&mut trainer, device, &views)?) } else { None };
    println!(
        "{}",
        json!({
            "ms": rounds[rounds.len() / 2], "ms_least": rounds[0], "bytes": bytes,
            "macs": trainer.network().method().macs(samples as i64),
            "views": config.recipe().views().map(|(side, _)| side).collect::<Vec<_>>(), "recorded": trainer.is_recorded(),
            "without": plain_pieces(), "refused_products": torchkit::refused_products(), "kernels": kernels,
        })
    );
    Ok(())
}

/// Returns the thirty kernels that take longest, with their shares of the time of all kernels.
fn kernels(trainer: &mut Trainer, device: Device, views: &Views) -> Result<serde_json::Value> {
    const STEPS: usize = 3;
    let (done, kernels) = torchkit::profile(device, || -> Result<()> {
        for _ in 0..STEPS {
            trainer.step(views)?;
        }
        finish(trainer, device)
    })?;
    done?;
    let all: f64 = kernels.iter().map(|kernel| kernel.time.as_secs_f64()).sum();
    let rows = kernels.iter().take(30).map(|kernel| {
        json!({
            "name": kernel.name, "calls_a_step": kernel.count as f64 / STEPS as f64,
            "ms_a_step": kernel.time.as_secs_f64() * 1e3 / STEPS as f64, "share": kernel.time.as_secs_f64() / all,
        })
    });
    Ok(json!({"ms_a_step": all * 1e3 / STEPS as f64, "rows": rows.collect::<Vec<_>>()}))
}

/// Times rounds of steps on batches from shards, in turns with steps on a batch that stays on the device.
pub(crate) fn feed(device: Device, args: &FeedArgs) -> Result<()> {
    let mut stage = Stage::new(device, args)?;
    for _ in 0..WARM_UP {
        stage.trainer.step(&stage.resident)?;
    }
    stage.round()?; // the first round reads the shards from the disk
    let rounds = (0..args.step.rounds).map(|_| stage.round()).collect::<Result<Vec<_>>>()?;
    let median = |field: fn(&Round) -> f64| {
        let sorted = sorted(rounds.iter().map(field).collect());
        sorted[sorted.len() / 2]
    };
    let (fed, resident) = (median(|round| round.fed_ms), median(|round| round.resident_ms));
    let sum = |field: fn(&Round) -> f64| rounds.iter().map(field).sum::<f64>();
    println!(
        "{}",
        json!({
            "fed_ms": fed, "resident_ms": resident, "saturation": resident / fed,
            "waited": sum(|round| round.waited_ms) / sum(|round| round.fed_ms),
            "images_per_second": args.step.model.batch_size as f64 * 1e3 / fed,
            "copy_ms": stage.feed.copying_time().as_secs_f64() * 1e3 / stage.fed as f64,
            "workers": stage.workers, "recorded": stage.trainer.is_recorded(), "without": plain_pieces(),
        })
    );
    Ok(())
}

/// The times of a round, in milliseconds per step.
#[expect(clippy::struct_field_names, reason = "quantities carry their unit")]
struct Round {
    fed_ms: f64,
    resident_ms: f64,
    /// The time of the fed steps that the device waited for data.
    waited_ms: f64,
}

/// A trainer that is fed from shards.
struct Stage {
    trainer: Trainer,
    device: Device,
    feed: Feed,
    /// A batch that stays on the device.
    resident: Views,
    /// The number of batches that may be decoded while nobody takes one.
    ahead: usize,
    workers: usize,
    /// Steps in a round, of each kind.
    steps: usize,
    /// Batches from shards so far.
    fed: usize,
}

impl Stage {
    fn new(device: Device, args: &FeedArgs) -> Result<Self> {
        args.step.model.settle()?;
        let workers = args.workers.unwrap_or_else(amdim_stream::data::cores);
        let set = ShardSet::open(LocalSource::new(&args.shards)?, &IndexConfig::default())?;
        let samples = set.samples(Order::default(), Division::default(), Position::default());
        let loader = LoaderConfig {
            workers,
            batch_size: args.step.model.batch_size,
            drop_last: true,
            decode: args.decode,
            ..LoaderConfig::default()
        };
        let config = args.step.model.config()?;
        let normalized = (config.normalization(), image_kind(&config, device));
        Ok(Self {
            trainer: args.step.model.trainer(&config, device)?,
            device,
            feed: Feed::spawn(samples, config.recipe(), normalized, &loader, device)?,
            resident: resident(&config, loader.batch_size, device),
            ahead: loader.slabs() + 2,
            workers,
            steps: args.step.steps,
            fed: 0,
        })
    }

    /// Times steps on the resident batch, then steps on batches from shards.
    fn round(&mut self) -> Result<Round> {
        let start = self.now()?;
        for _ in 0..self.steps {
            self.trainer.step(&self.resident)?;
        }
        let resident = self.now()? - start;
        // Uses up the batches that were decoded meanwhile, so that a round decodes the batches that it trains on.
        self.fed_steps(self.ahead)?;
        self.now()?;
        self.feed.take_waited()?;
        let start = Instant::now();
        self.fed_steps(self.steps)?;
        let fed = self.now()? - start;
        let waited = self.feed.take_waited()?;
        let ms = |time: Duration| time.as_secs_f64() * 1e3 / self.steps as f64;
        Ok(Round { fed_ms: ms(fed), resident_ms: ms(resident), waited_ms: ms(waited) })
    }

    fn fed_steps(&mut self, steps: usize) -> Result<()> {
        for _ in 0..steps {
            let batch = self.feed.next().context("shards go on without end")??;
            self.trainer.step(&batch.views)?;
        }
        self.fed += steps;
        Ok(())
    }

    /// Waits for all steps so far and returns the time.
    fn now(&mut self) -> Result<Instant> {
        finish(&mut self.trainer, self.device)?;
        Ok(Instant::now())
    }
}
