//! `amdim-stream replay`: the step that a crash folder is of, made again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;
use tch::Tensor;

use crate::{
    checkpoint::{Checkpoints, Loaded},
    config::{self, Config},
    stdout,
};
use crate::{
    run::{
        crash::{self, CrashReport},
        folder::RunFolder,
    },
    train::Run,
    world::World,
};
use torchkit::{DeviceChoice, GraphChoice, Precision};

/// What `replay` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The crash folder of a run
    #[arg(value_name = "DIR")]
    pub crash: PathBuf,
    /// The shards of the run, where they lie elsewhere by now
    #[arg(long, value_name = "PATTERN", num_args = 1..)]
    pub shards: Vec<String>,
    /// auto, cpu, cuda or cuda:N [default: as the run was told]
    #[arg(long)]
    pub device: Option<DeviceChoice>,
    /// Compute the step in f32, tf32 or bf16 [default: as the run did]
    #[arg(long, value_name = "KIND")]
    pub precision: Option<Precision>,
}

/// Makes the step, and prints what it found, whether that is what it found then, and which gradients are not finite.
pub fn run(args: &Args) -> Result<()> {
    let report = CrashReport::read(&args.crash)?;
    let loaded = origin(&report, &args.crash)?;
    let config = loaded.as_ref().map(|loaded| Ok(loaded.state.config.clone()));
    let mut config =
        config.unwrap_or_else(|| Config::resolve(&config::read(&args.crash.join(CrashReport::CONFIG))?))?;
    config.run.cuda_graph = GraphChoice::Off;
    config.run.device = args.device.unwrap_or(config.run.device);
    config.train.precision = args.precision.unwrap_or(config.train.precision);
    if !args.shards.is_empty() {
        config.data.shards.clone_from(&args.shards);
    }
    config.data.val_shards.clear();
    let mut run = Run::prepare(config, loaded.as_ref(), World::join())?;
    match &loaded {
        Some(loaded) => {
            run.trainer.restore(loaded)?;
            run.position = loaded.state.position;
        }
        None => run.warm_start(&RunFolder::of(&run_folder(&args.crash)?), false)?,
    }
    tracing::info!("step {}: {}", report.step, report.what);
    let mut feed = run.feed()?;
    let mut next = || feed.next().context("a run's samples have no end")?;
    for _ in run.trainer.step_count() + 1..report.step {
        run.trainer.step(&next()?.views)?;
    }
    let staged = next()?;
    let is_same_batch = same_batch(&report, &staged.views.indices)?;
    let found = run.trainer.step(&staged.views)?.metrics.read();
    let is_broken = run.trainer.check().is_err();
    let gradients = run.trainer.broken_gradients();
    let words = match (is_broken, is_same_batch) {
        (true, _) => "its numbers are not finite",
        (false, true) => "it went well this time",
        (false, false) => "it went well, but on other samples than then",
    };
    stdout::say(&format!("{words}; gradients that are not finite: {}", gradients.len()))?;
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

/// The state that the step began with, or where it went with the process, the run's last checkpoint before it; none where it
/// is to be reached from the run's beginning.
fn origin(report: &CrashReport, crash: &Path) -> Result<Option<Loaded>> {
    if report.has_state {
        return Loaded::open(&crash.join(CrashReport::STATE)).map(Some);
    }
    let loaded = Checkpoints::of(&run_folder(crash)?).before(report.step)?;
    let from = loaded.as_ref().map_or_else(
        || "beginning on: there is no checkpoint from before".to_owned(),
        |loaded| format!("checkpoint of step {} on", loaded.state.step),
    );
    tracing::info!("from the {from}");
    Ok(loaded)
}

/// The run folder that a crash folder lies in.
fn run_folder(crash: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(crash).with_context(|| format!("cannot find `{}`", crash.display()))?;
    Ok(path.parent().unwrap_or(&path).to_owned())
}

/// Whether the batch is the one that the report lists, as far as it does.
fn same_batch(report: &CrashReport, indices: &Tensor) -> Result<bool> {
    let then = report.samples.iter().map(|sample| sample["index"].as_i64());
    let now = Vec::<i64>::try_from(indices)?;
    Ok(then.eq(now.into_iter().map(Some)))
}
