//! `amdim-stream replay`: repeats the step that a run failed at, from its crash folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;
use tch::Tensor;

use crate::{
    checkpoint::{Checkpoints, Loaded},
    config::{self, Config},
    run::{
        crash::{self, CrashReport},
        folder::RunFolder,
    },
    stdout,
    train::Run,
    world::World,
};
use torchkit::{Choice, DeviceChoice, Precision};

/// The flags of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The crash folder of a run
    #[arg(value_name = "DIR")]
    pub crash: PathBuf,
    /// The shards of the run, if they have moved
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    pub shards: Vec<String>,
    /// auto, cpu, cuda or cuda:N [default: the setting of the run]
    #[arg(long)]
    pub device: Option<DeviceChoice>,
    /// Compute the step in f32, tf32 or bf16 [default: as the run did]
    #[arg(long, value_name = "KIND")]
    pub precision: Option<Precision>,
}

/// Repeats the step. Prints its results, whether they equal those of the failed step, and which gradients are
/// not finite.
pub fn run(args: &Args) -> Result<()> {
    let report = CrashReport::read(&args.crash)?;
    let mut run = prepare(args, &report)?;
    tracing::info!("step {}: {}", report.step, report.what);
    let mut feed = run.feed()?;
    let mut next = || feed.next().context("a run's samples have no end")?;
    for _ in run.trainer.step_count() + 1..report.step {
        let batch = next()?;
        run.prove_fused(&batch.views)?; // the pieces of the run, so that the numbers are its numbers
        run.trainer.step(&batch.views)?;
    }
    let batch = next()?;
    run.prove_fused(&batch.views)?;
    let is_same_batch = same_batch(&report, &batch.views.indices)?;
    let found = run.trainer.step(&batch.views)?.metrics.read();
    let is_broken = run.trainer.check().is_err();
    let gradients = run.trainer.broken_gradients();
    let outcome = match (is_broken, is_same_batch) {
        (true, _) => "the numbers of the step are not finite",
        (false, true) => "the step succeeded this time",
        (false, false) => "the step succeeded, but on other samples than in the run",
    };
    stdout::say(&format!("{outcome}; gradients that are not finite: {}", gradients.len()))?;
    let found = crash::as_text(&found);
    stdout::print(&json!({
        "step": report.step,
        "what": report.what,
        "same_batch": is_same_batch,
        "is_finite": !is_broken,
        "same_numbers": (!report.found.is_empty()).then(|| found == report.found),
        "found": found,
        "gradients_not_finite": gradients,
    }))
}

/// Prepares the run in the state from which the step can be reached.
fn prepare(args: &Args, report: &CrashReport) -> Result<Run> {
    let loaded = origin(report, &args.crash)?;
    let config = match &loaded {
        Some(loaded) => loaded.state.config.clone(),
        None => Config::resolve(&config::read(&args.crash.join(CrashReport::CONFIG))?)?,
    };
    let mut run =
        Run::prepare(with_flags(config, args), loaded.as_ref().map(|loaded| &loaded.state), World::ALONE)?;
    match &loaded {
        Some(loaded) => {
            run.trainer.restore(loaded)?;
            run.position = loaded.state.position;
        }
        None => run.warm_start(&RunFolder::of(&run_folder(&args.crash)?), false)?,
    }
    Ok(run)
}

/// Applies the flags of `replay` to the configuration of the run.
fn with_flags(mut config: Config, args: &Args) -> Config {
    config.run.cuda_graph = Choice::Off;
    config.run.device = args.device.unwrap_or(config.run.device);
    config.train.precision = args.precision.unwrap_or(config.train.precision);
    if !args.shards.is_empty() {
        config.data.shards.clone_from(&args.shards);
    }
    config.data.val_shards.clear();
    config
}

/// Loads the state from before the step. If the process ended before it could save that state, loads the
/// run's last checkpoint before the step. Returns none if the step can only be reached from the run's
/// beginning.
fn origin(report: &CrashReport, crash: &Path) -> Result<Option<Loaded>> {
    if report.has_state {
        return Loaded::open(&crash.join(CrashReport::STATE)).map(Some);
    }
    let loaded = Checkpoints::of(&run_folder(crash)?).before(report.step)?;
    let start = match &loaded {
        Some(loaded) => format!("the checkpoint of step {}", loaded.state.step),
        None => "step 0: the run has no checkpoint before the step".to_owned(),
    };
    tracing::info!("starting from {start}");
    Ok(loaded)
}

/// Returns the run folder that contains a crash folder.
fn run_folder(crash: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(crash).with_context(|| format!("cannot find `{}`", crash.display()))?;
    Ok(path.parent().unwrap_or(&path).to_owned())
}

/// Returns whether the samples of the batch are those in the report.
fn same_batch(report: &CrashReport, indices: &Tensor) -> Result<bool> {
    let then = report.samples.iter().map(|sample| sample["index"].as_i64());
    let now = Vec::<i64>::try_from(indices)?;
    Ok(then.eq(now.into_iter().map(Some)))
}
