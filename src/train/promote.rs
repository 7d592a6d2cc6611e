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
    metrics::{self, Record, ValidationRecord},
    run::{
        gate::{Gate, LOSS, Metrics},
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
            let metrics = metrics_at(loaded.state.step, &metrics::read(&folder.metrics)?);
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
fn metrics_at(step: u64, records: &[Record]) -> Metrics {
    let loss = records.iter().filter_map(Record::train).find(|train| train.step >= step);
    let loss = loss.and_then(|train| train.loss).map(|loss| (LOSS, loss));
    // One that was made again, for its neighbours, comes later.
    let validation = records.iter().rev().filter_map(Record::validation).find(|found| found.step == step);
    let measured =
        ValidationRecord::NUMBERS.iter().filter_map(|(name, _)| Some((*name, validation?.number(name)?)));
    measured.chain(loss).map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::TrainRecord;

    #[test]
    fn the_numbers_of_a_step_are_those_of_its_validation_and_of_the_record_over_it() {
        let train = |step, loss| {
            Record::Train(Box::new(TrainRecord { step, loss: Some(loss), ..TrainRecord::default() }))
        };
        let validation = |step, linear, knn| {
            let linear = Some(linear);
            Record::Validation(ValidationRecord { step, linear, knn, ..ValidationRecord::default() })
        };
        let records = [
            validation(8, 0.5, None),
            train(10, 7.0),
            train(16, 6.0),
            validation(16, 0.25, None),
            // Made again, for its neighbours.
            validation(16, 0.25, Some(0.75)),
        ];
        let at = |step| metrics_at(step, &records).into_iter().collect::<Vec<_>>();
        let named = |numbers: &[(&str, f64)]| -> Vec<_> {
            numbers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
        };
        assert_eq!(at(8), named(&[("linear", 0.5), ("loss", 7.0)]));
        assert_eq!(at(16), named(&[("knn", 0.75), ("linear", 0.25), ("loss", 6.0)]));
    }
}
