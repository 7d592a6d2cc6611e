//! The end of a finished run: its gates are checked, and its encoder is promoted.

use anyhow::{Context, Result};
use shards::ShardSet;

use super::{
    folder::RunFolder,
    gate::{Gate, LOSS, Metrics},
    manifest::Manifest,
    promotion::{Promotion, Promotions},
    unattended::Unattended,
};
use crate::{
    checkpoint::Loaded,
    config::{Metric, RunConfig},
    data::Data,
    exit::Code,
    hint::{Hinted, WithHint},
    metrics::{self, Record, ValidationRecord},
    usage,
};

/// The fewest training samples whose features say how healthy the representation is, where there are no
/// validation samples.
pub(crate) const FEWEST_FOR_HEALTH: u64 = 256;

/// Refuses gates on numbers that the run will not measure, before it begins.
///
/// # Errors
///
/// If a gate names a number that the run will not measure.
pub(crate) fn check_gates(settings: &RunConfig, data: &Data, gates: &[Gate]) -> Result<()> {
    for gate in gates {
        if let Some(Unmeasured { what, cure }) = unmeasured(settings, data, gate.metric()) {
            return Err(usage!("`{gate}` asks for {what}"; "add {cure}"));
        }
    }
    Ok(())
}

/// A number that a run does not measure.
struct Unmeasured {
    /// The number, in words.
    what: &'static str,
    /// The flags with which the run measures it.
    cure: String,
}

/// Returns why the run does not measure a number, or `None` if it does.
fn unmeasured(settings: &RunConfig, data: &Data, metric: &str) -> Option<Unmeasured> {
    let not_measured =
        |cure: String| Some(Unmeasured { what: "a number that this run does not measure", cure });
    let has_validation = data.validation.is_some();
    match metric {
        "linear" | "mlp" if !has_validation => not_measured("--val-shards".to_owned()),
        "knn" if settings.knn_every == 0 || !has_validation => {
            not_measured("--knn-every 1 and --val-shards".to_owned())
        }
        // The best checkpoint may be that of any validation.
        "knn"
            if settings.best.is_some_and(|best| best != Metric::Knn)
                && !settings.validate_every.is_multiple_of(settings.knn_every) =>
        {
            Some(Unmeasured {
                what: "a number that only some validations of this run measure, while the best checkpoint may come from any of them",
                cure: format!("--knn-every {}, or --best knn", settings.validate_every),
            })
        }
        "rankme" | "cosine" if !has_validation && data.train.len() < FEWEST_FOR_HEALTH => {
            not_measured(format!("--val-shards, or {FEWEST_FOR_HEALTH} training samples"))
        }
        _ => None,
    }
}

/// Refuses a promotion whose gates do not hold.
///
/// # Errors
///
/// An error with [`Code::Gate`] if a gate does not hold.
pub(crate) fn check(promotion: &Promotion) -> Result<()> {
    if promotion.refused.is_empty() {
        return Ok(());
    }
    let (refused, folder) = (promotion.refused.join("; "), promotion.folder.display());
    let (message, hint) = match &promotion.name {
        Some(name) => (
            format!(
                "the run does not pass its gates, but an earlier start has promoted it as `{name}` in `{folder}`: {refused}"
            ),
            "point `latest` to another folder to withdraw it; nothing was changed there",
        ),
        None => (
            format!("the run is finished, but not promoted: {refused}"),
            "nothing was changed there; `amdim-stream export` writes its encoder all the same",
        ),
    };
    Err(Hinted::error(Code::Gate, message, vec![hint.to_owned()]))
}

/// Writes the manifest of a finished run. Where it is asked for and not done yet, checks the gates, promotes
/// the encoder, and notes the result in the manifest.
///
/// # Errors
///
/// If files cannot be read or written.
pub(crate) fn promote(
    folder: &RunFolder,
    settings: &RunConfig,
    data: &Data,
    unattended: &Unattended,
    manifest: &mut Manifest,
) -> Result<()> {
    manifest.write(&folder.manifest)?;
    let Some(promotions) = unattended.promote.as_deref() else { return Ok(()) };
    if manifest.is_promoted(promotions, &unattended.gate) {
        return Ok(());
    }
    let loaded = checkpoint_to_promote(folder, settings)?;
    let metrics = metrics_at(loaded.state.step, &metrics::read(&folder.metrics)?);
    let validation = data.validation.as_ref().map(ShardSet::digest);
    let promotions = Promotions::of(promotions);
    let promotion = promotions.promote(&unattended.gate, &loaded, &folder.path, metrics, validation)?;
    if let Some(name) = promotion.name.as_ref().filter(|_| promotion.refused.is_empty()) {
        tracing::info!("promoted step {} as `{name}`", promotion.step);
    }
    manifest.promotion = Some(promotion);
    manifest.write(&folder.manifest)
}

/// Loads the best checkpoint where the run keeps one, else the last.
fn checkpoint_to_promote(folder: &RunFolder, settings: &RunConfig) -> Result<Loaded> {
    match folder.checkpoints.best_path().filter(|_| settings.best.is_some()) {
        Some(path) => Loaded::open(&path).context("the best checkpoint is damaged").with_hint(
            || "restore it from a copy, or remove `checkpoints/best.json` to promote the last checkpoint",
        ),
        None => folder.checkpoints.latest()?.context("a finished run has a checkpoint"),
    }
}

/// Returns the numbers of a step: those of its validation, and the loss of the record that covers the step.
fn metrics_at(step: u64, records: &[Record]) -> Metrics {
    let loss = records.iter().filter_map(Record::train).find(|train| train.step >= step);
    let loss = loss.and_then(|train| train.loss).map(|loss| (LOSS, loss));
    // A validation that was made again, to measure neighbours, comes later.
    let validation = records.iter().rev().filter_map(Record::validation).find(|record| record.step == step);
    let measured =
        ValidationRecord::NUMBERS.iter().filter_map(|(name, _)| Some((*name, validation?.number(name)?)));
    measured.chain(loss).map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::TrainRecord;

    #[test]
    fn the_numbers_of_a_step_are_those_of_its_validation_and_the_loss_of_the_record_that_covers_it() {
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
            // Made again, to measure neighbours.
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
