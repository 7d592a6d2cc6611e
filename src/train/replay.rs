//! `amdim-stream replay`: the step that a crash folder is of, made again.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tch::Tensor;

use super::{
    Run,
    crash::{self, Report},
};
use crate::{
    checkpoint::Loaded,
    stdout,
    sys::{DeviceChoice, GraphChoice, Precision},
    usage,
};

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
    let report = crash::read(&args.crash)?;
    if !report.has_state {
        return Err(usage!(
            "`{}` has no state to begin with: it could not be saved then\n  hint: the run's own command goes on from its last \
             checkpoint and comes to step {} again",
            args.crash.display(),
            report.step
        ));
    }
    let loaded = Loaded::open(&args.crash.join(Report::STATE))?;
    let mut config = loaded.state.config.clone();
    config.run.cuda_graph = GraphChoice::Off;
    config.run.device = args.device.unwrap_or(config.run.device);
    config.train.precision = args.precision.unwrap_or(config.train.precision);
    if !args.shards.is_empty() {
        config.data.shards.clone_from(&args.shards);
    }
    config.data.val_shards.clear();
    let mut run = Run::prepare(config, Some(&loaded))?;
    run.trainer.restore(&loaded)?;
    run.position = report.from;
    tracing::info!("step {}: {}", report.step, report.what);
    let staged = run.feed()?.next().context("a run's samples have no end")??;
    let is_same_batch = same_batch(&report, &staged.views.indices)?;
    let found = run.trainer.step(&staged.views)?.found.read();
    let is_broken = run.trainer.check().is_err();
    let gradients = run.trainer.broken_gradients();
    let words = match (is_broken, is_same_batch) {
        (true, _) => "its numbers are not finite",
        (false, true) => "it went well this time",
        (false, false) => "it went well, but on other samples than then",
    };
    tracing::info!("{words}; gradients that are not finite: {}", gradients.len());
    // As text, since JSON has no infinity.
    let found: serde_json::Map<String, Value> =
        found.iter().map(|(name, value)| ((*name).to_owned(), json!(value.to_string()))).collect();
    stdout::print(&json!({
        "step": report.step,
        "what": report.what,
        "same_batch": is_same_batch,
        "is_finite": !is_broken,
        "same_numbers": found == report.found,
        "found": found,
        "gradients_not_finite": gradients,
    }))
}

/// Whether the batch is the one that the report lists, as far as it does.
fn same_batch(report: &Report, indices: &Tensor) -> Result<bool> {
    let then = report.samples.iter().map(|sample| sample["index"].as_i64());
    let now = Vec::<i64>::try_from(indices)?;
    Ok(then.eq(now.into_iter().map(Some)))
}
