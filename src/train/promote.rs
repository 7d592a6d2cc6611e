//! What becomes of a finished run: judged by its gates, and handed on.

use std::path::Path;

use anyhow::{Context, Result};
use shards::ShardSet;

use super::{Run, RunFolder, Unattended, manifest::Manifest};
use crate::{
    checkpoint::Loaded,
    config::{Config, Metric},
    exit::{Code, Coded},
    metrics,
    promote::{Gate, METRICS, Metrics, Promotion, Promotions},
    usage,
};

/// A gate on what the run will not measure is refused before it.
pub(super) fn check_gates(config: &Config, gates: &[Gate]) -> Result<()> {
    for gate in gates {
        let run = &config.run;
        let (asks_for, cure) = match gate.metric() {
            "knn" if run.knn_every == 0 || config.data.val_shards.is_empty() => {
                ("a number that this run does not measure", "--knn-every 1 and --val-shards".to_owned())
            }
            "linear" | "mlp" if config.data.val_shards.is_empty() => {
                ("a number that this run does not measure", "--val-shards".to_owned())
            }
            // The best checkpoint may be of any validation.
            "knn"
                if run.best.is_some_and(|best| best != Metric::Knn)
                    && !run.validate_every.is_multiple_of(run.knn_every) =>
            {
                (
                    "a number that not every validation of this run measures, of which any may be the best",
                    format!("--knn-every {}, or --best knn", run.validate_every),
                )
            }
            _ => continue,
        };
        return Err(usage!("`{gate}` asks for {asks_for}\n  hint: {cure}"));
    }
    Ok(())
}

/// Whether it was promoted, or refused, by these gates before.
pub(super) fn is_done(manifest: &Manifest, folder: &Path, gates: &[Gate]) -> bool {
    manifest.promotion.as_ref().is_some_and(|promotion| promotion.is_of(folder, gates))
}

/// An error with [`Code::Gate`] where a run was not promoted.
pub(super) fn check(promotion: &Promotion) -> Result<()> {
    if promotion.refused.is_empty() {
        return Ok(());
    }
    Err(Coded::error(
        Code::Gate,
        format!(
            "the run is finished, but not promoted: {}\n  hint: nothing was changed there; `amdim-stream export` writes its encoder all \
             the same",
            promotion.refused.join("; ")
        ),
    ))
}

impl Run {
    /// Judges and promotes the finished run, where that is asked for and was not done; notes what became of it.
    pub(super) fn promote(
        &self,
        folder: &RunFolder,
        start: &Unattended,
        manifest: &mut Manifest,
    ) -> Result<()> {
        manifest.write(&folder.manifest)?;
        if let Some(promotions) =
            start.promote.as_deref().filter(|folder| !is_done(manifest, folder, &start.gate))
        {
            let best = folder.checkpoints.best_path().filter(|_| self.config.run.best.is_some());
            let loaded = match best {
                Some(path) => Loaded::open(&path)?,
                None => folder.checkpoints.latest()?.context("a finished run has a checkpoint")?,
            };
            let metrics = metrics_at(loaded.state.step, &metrics::read_lines(&folder.metrics)?);
            let validation = self.data.validation.as_ref().map(ShardSet::digest);
            let promotions = Promotions::of(promotions);
            let promotion = promotions.promote(&start.gate, &loaded, &folder.path, metrics, validation)?;
            if let Some(name) = &promotion.name {
                tracing::info!("promoted step {} as `{name}`", promotion.step);
            }
            manifest.promotion = Some(promotion);
            manifest.write(&folder.manifest)?;
        }
        Ok(())
    }
}

/// The numbers that were recorded at a step, or for the loss the last one before it.
fn metrics_at(step: u64, lines: &[serde_json::Value]) -> Metrics {
    let until = |kind: &str| {
        let mut lines = lines.iter().rev().filter(|line| line["kind"] == kind);
        lines.find(|line| line["step"].as_u64().is_some_and(|then| then <= step))
    };
    let validation = until("validation").filter(|line| line["step"] == step);
    let numbers = |name: &&str| {
        let line = if *name == "loss" { until("train") } else { validation };
        Some(((*name).to_owned(), line?[*name].as_f64()?))
    };
    METRICS.iter().filter_map(numbers).collect()
}
