//! What becomes of a finished run: judged by its gates, and handed on.

use anyhow::{Context, Result};
use shards::ShardSet;

use super::{Run, validation::LEAST};
use crate::run::{folder::RunFolder, manifest::Manifest, unattended::Unattended};
use crate::{
    checkpoint::Loaded,
    config::Metric,
    exit::Code,
    hint::{Hinted, WithHint},
    metrics,
    run::{
        gate::{Gate, METRICS, Metrics},
        promotion::{Promotion, Promotions},
    },
    usage,
};

/// A gate on what the run will not measure is refused before it.
pub(crate) fn check_gates(run: &Run, gates: &[Gate]) -> Result<()> {
    gates.iter().try_for_each(|gate| {
        let missing = missing(run, gate.metric());
        missing.map_or(Ok(()), |(what, cure)| Err(usage!("`{gate}` asks for {what}"; "add {cure}")))
    })
}

/// What is amiss with a number that is asked for, and the cure; none where the run measures it.
fn missing(run: &Run, metric: &str) -> Option<(&'static str, String)> {
    const NOT_MEASURED: &str = "a number that this run does not measure";
    let (settings, has_validation) = (&run.config.run, run.data.validation.is_some());
    match metric {
        "linear" | "mlp" if !has_validation => Some((NOT_MEASURED, "--val-shards".to_owned())),
        "knn" if settings.knn_every == 0 || !has_validation => {
            Some((NOT_MEASURED, "--knn-every 1 and --val-shards".to_owned()))
        }
        // The best checkpoint may be of any validation.
        "knn"
            if settings.best.is_some_and(|best| best != Metric::Knn)
                && !settings.validate_every.is_multiple_of(settings.knn_every) =>
        {
            Some((
                "a number that not every validation of this run measures, of which any may be the best",
                format!("--knn-every {}, or --best knn", settings.validate_every),
            ))
        }
        "rankme" | "cosine" if !has_validation && run.data.train.len() < LEAST => {
            Some((NOT_MEASURED, format!("--val-shards, or {LEAST} training samples")))
        }
        _ => None,
    }
}

/// An error with [`Code::Gate`] where a run did not pass.
pub(crate) fn check(promotion: &Promotion) -> Result<()> {
    if promotion.refused.is_empty() {
        return Ok(());
    }
    let (refused, folder) = (promotion.refused.join("; "), promotion.folder.display());
    let (message, hint) = match &promotion.name {
        Some(name) => (
            format!(
                "the run, which is `{name}` in `{folder}` since an earlier start, does not pass: {refused}"
            ),
            "nothing was changed there; to take it out of use, let `latest` lead to another folder",
        ),
        None => (
            format!("the run is finished, but not promoted: {refused}"),
            "nothing was changed there; `amdim-stream export` writes its encoder all the same",
        ),
    };
    Err(Hinted::error(Code::Gate, message, vec![hint.to_owned()]))
}

impl Run {
    /// Judges and promotes the finished run, where that is asked for and was not done; notes what became of it.
    pub(crate) fn promote(
        &self,
        folder: &RunFolder,
        start: &Unattended,
        manifest: &mut Manifest,
    ) -> Result<()> {
        manifest.write(&folder.manifest)?;
        if let Some(promotions) =
            start.promote.as_deref().filter(|folder| !manifest.is_promoted(folder, &start.gate))
        {
            let best = folder.checkpoints.best_path().filter(|_| self.config.run.best.is_some());
            let loaded = match best {
                Some(path) => Loaded::open(&path).context("the best checkpoint is damaged").with_hint(|| {
                    "restore it from a copy, or remove `checkpoints/best.json` to promote the last checkpoint"
                })?,
                None => folder.checkpoints.latest()?.context("a finished run has a checkpoint")?,
            };
            let metrics = metrics_at(loaded.state.step, &metrics::read_lines(&folder.metrics)?);
            let validation = self.data.validation.as_ref().map(ShardSet::digest);
            let promotions = Promotions::of(promotions);
            let promotion = promotions.promote(&start.gate, &loaded, &folder.path, metrics, validation)?;
            if let Some(name) = promotion.name.as_ref().filter(|_| promotion.refused.is_empty()) {
                tracing::info!("promoted step {} as `{name}`", promotion.step);
            }
            manifest.promotion = Some(promotion);
            manifest.write(&folder.manifest)?;
        }
        Ok(())
    }
}

/// The numbers that were recorded at a step; the loss is that of the record which this step has a share in.
fn metrics_at(step: u64, lines: &[serde_json::Value]) -> Metrics {
    let of = |kind: &'static str, is_it: fn(u64, u64) -> bool| {
        let is_of = move |line: &&serde_json::Value| {
            line["kind"] == kind && line["step"].as_u64().is_some_and(|then| is_it(then, step))
        };
        lines.iter().filter(is_of)
    };
    let training = of("train", |then, step| then >= step).next();
    let validation = of("validation", |then, step| then == step).next_back();
    let numbers = |name: &&str| {
        let line = if *name == "loss" { training } else { validation };
        Some(((*name).to_owned(), line?[*name].as_f64()?))
    };
    METRICS.iter().filter_map(numbers).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_numbers_of_a_step_are_those_of_its_validation_and_of_the_record_over_it() {
        let lines = [
            json!({"kind": "validation", "step": 8, "linear": 0.5}),
            json!({"kind": "train", "step": 10, "loss": 7.0}),
            json!({"kind": "train", "step": 16, "loss": 6.0}),
            json!({"kind": "validation", "step": 16, "linear": 0.25}),
            // Made again, for its neighbours.
            json!({"kind": "validation", "step": 16, "linear": 0.25, "knn": 0.75}),
        ];
        let at = |step| metrics_at(step, &lines).into_iter().collect::<Vec<_>>();
        let named = |numbers: &[(&str, f64)]| -> Vec<_> {
            numbers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
        };
        assert_eq!(at(8), named(&[("linear", 0.5), ("loss", 7.0)]));
        assert_eq!(at(16), named(&[("knn", 0.75), ("linear", 0.25), ("loss", 6.0)]));
    }
}
