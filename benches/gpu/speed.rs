//! How fast steps are, on a batch that stays on the device and on batches from shards.

use std::time::Instant;

use amdim_stream::{
    commands::plan::made_up, config::Config, encoder, feed::Feed, optim::Schedule, train::Trainer,
};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use pipeline::{DecodeMode, LoaderConfig, Preset};
use serde_json::json;
use shards::{IndexConfig, LocalSource, Order, Position, ShardSet, Share};
use tch::Device;
use torchkit::{Accelerator, GraphChoice, MemoryWatch, Precision, Stream};

/// A model, and how much of it to measure.
#[derive(Debug, Args)]
pub(crate) struct StepArgs {
    /// Channels of the first layer
    #[arg(long)]
    ndf: i64,
    /// Channels of the embeddings
    #[arg(long)]
    n_rkhs: i64,
    /// Residual layers in each block
    #[arg(long)]
    n_depth: i64,
    /// Samples in a step
    #[arg(long)]
    batch_size: usize,
    /// f32, tf32 or bf16
    #[arg(long, default_value = "bf16")]
    precision: Precision,
    /// auto, on or off: steps as one CUDA graph
    #[arg(long, default_value = "on")]
    cuda_graph: GraphChoice,
    /// Compute blocks again on the way back
    #[arg(long)]
    checkpoint_blocks: bool,
    /// Steps in a round
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// Rounds, the median of which counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Say what the time goes to, by kernel
    #[arg(long)]
    profile: bool,
}

/// A model, and the shards that it is fed from.
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

/// Steps before anything is measured: algorithms are chosen, and the graph is recorded.
const WARM_UP: usize = 6;

impl StepArgs {
    fn trainer(&self, device: Device) -> Result<Trainer> {
        let mut config = Config::preset(Preset::In128);
        let &Self { ndf, n_rkhs, n_depth, precision, .. } = self;
        config.encoder = encoder::amdim::Config { ndf, n_rkhs, n_depth, use_bn: false }.into();
        config.train.precision = precision;
        config.train.checkpoint_blocks = self.checkpoint_blocks;
        config.run.cuda_graph = self.cuda_graph;
        precision.apply()?;
        Trainer::new(&config, Some(1000), device, Schedule::new(&config.optim, 1_000_000, 10_000.0))
    }
}

/// Waits for all steps so far.
fn finish(trainer: &mut Trainer, device: Device) -> Result<()> {
    trainer.check().map_err(|broken| anyhow!("a loss that is not finite: {:?}", broken.found))?;
    Ok(Stream::current(Accelerator::of(device))?.synchronize()?)
}

/// Ascending.
fn sorted(mut milliseconds: Vec<f64>) -> Vec<f64> {
    milliseconds.sort_by(f64::total_cmp);
    milliseconds
}

pub(crate) fn step(device: Device, args: &StepArgs) -> Result<()> {
    let watch = MemoryWatch::start(Accelerator::of(device))?;
    let mut trainer = args.trainer(device)?;
    let views = made_up(args.batch_size, Preset::In128.side(), device);
    for _ in 0..WARM_UP {
        trainer.step(&views)?;
    }
    finish(&mut trainer, device)?;
    // Choosing algorithms takes memory that no later step does.
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
    // What a graph uses lies in a pool, which no tensor owns between steps.
    let bytes = match Accelerator::of(device) {
        Some(accelerator) if trainer.is_recorded() => torchkit::reserved_memory(accelerator)?,
        _ => watch.peak()?,
    };
    drop(watch); // the profiler and the watch of the CPU want the same place
    let rounds = sorted(rounds);
    let kernels = if args.profile { Some(kernels(&mut trainer, device, &views)?) } else { None };
    println!(
        "{}",
        json!({
            "ms": rounds[rounds.len() / 2], "ms_least": rounds[0], "bytes": bytes, "macs": trainer.network().method().macs(args.batch_size as i64),
            "recorded": trainer.is_recorded(), "kernels": kernels,
        })
    );
    Ok(())
}

/// The thirty kernels that take longest, with their share of the time that all take.
fn kernels(
    trainer: &mut Trainer,
    device: Device,
    views: &amdim_stream::views::Views,
) -> Result<serde_json::Value> {
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

pub(crate) fn feed(device: Device, args: &FeedArgs) -> Result<()> {
    let mut trainer = args.step.trainer(device)?;
    let workers = args.workers.unwrap_or_else(amdim_stream::data::cores);
    let set = ShardSet::open(LocalSource::new(&args.shards)?, &IndexConfig::default())?;
    let samples = set.samples(Order::default(), Share::default(), Position::default());
    let loader = LoaderConfig {
        workers,
        batch_size: args.step.batch_size,
        drop_last: true,
        decode: args.decode,
        ..LoaderConfig::default()
    };
    let normalization = Preset::In128.normalization();
    let mut feed = Feed::spawn(samples, Preset::In128.recipe(), normalization, &loader, device)?;
    let resident = made_up(args.step.batch_size, Preset::In128.side(), device);
    for _ in 0..WARM_UP {
        trainer.step(&resident)?;
    }
    let (mut fed, mut staying, mut waited, mut wall) = (Vec::new(), Vec::new(), 0.0, 0.0);
    for round in 0..=args.step.rounds {
        finish(&mut trainer, device)?;
        let start = Instant::now();
        for _ in 0..args.step.steps {
            trainer.step(&resident)?;
        }
        finish(&mut trainer, device)?;
        let staying_s = start.elapsed().as_secs_f64();
        // What was decoded meanwhile is used up: a round's batches are decoded in the round.
        for _ in 0..loader.slabs() + 2 {
            trainer.step(&feed.next().context("shards go on without end")??.views)?;
        }
        finish(&mut trainer, device)?;
        feed.take_waited()?;
        let start = Instant::now();
        for _ in 0..args.step.steps {
            let staged = feed.next().context("shards go on without end")??;
            trainer.step(&staged.views)?;
        }
        finish(&mut trainer, device)?;
        let fed_s = start.elapsed().as_secs_f64();
        if round > 0 {
            // The first round finds the shards on the disk.
            let ms = |seconds: f64| seconds * 1e3 / args.step.steps as f64;
            staying.push(ms(staying_s));
            fed.push(ms(fed_s));
            waited += feed.take_waited()?.as_secs_f64();
            wall += fed_s;
        }
    }
    let (fed, staying) = (sorted(fed), sorted(staying));
    let median = |rounds: &[f64]| rounds[rounds.len() / 2];
    println!(
        "{}",
        json!({
            "fed_ms": median(&fed), "resident_ms": median(&staying), "saturation": median(&staying) / median(&fed),
            "waited": waited / wall, "images_per_second": args.step.batch_size as f64 * 1e3 / median(&fed),
            "workers": workers, "recorded": trainer.is_recorded(),
        })
    );
    Ok(())
}
