//! The records of a run, as a person sees them.

use anyhow::Result;

use super::{
    record::{Bottleneck, Number, Record, TrainRecord, ValidationRecord},
    sink::{Made, Sink},
};
use crate::terminal;

/// Shows records on stderr, and every step if it is a terminal.
#[derive(Debug)]
pub struct Progress {
    shown: terminal::Progress,
    /// The words of the last training record.
    words: Vec<String>,
    steps: u64,
}

impl Progress {
    /// Returns the progress of a run of `steps`, at `step`.
    pub fn new(step: u64, steps: u64) -> Self {
        Self { shown: terminal::Progress::new("step", step, steps), words: Vec::new(), steps }
    }

    fn show(&mut self, record: &TrainRecord) {
        let is_first = self.words.is_empty();
        self.words = of_training(record);
        self.shown.reach(record.step, || self.words.clone(), is_first || record.step >= self.steps);
    }
}

impl Sink for Progress {
    fn step(&mut self, made: Made) {
        if terminal::has_line() {
            self.shown.reach(made.step, || self.words.clone(), false);
        }
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        match record {
            Record::Train(record) => self.show(record),
            Record::Validation(record) => {
                tracing::info!("step {}  validation  {}", record.step, of_validation(record).join("  "));
            }
        }
        Ok(())
    }
}

/// Formats the numbers of training, the most important one first. Their width is the same in each record.
fn of_training(record: &TrainRecord) -> Vec<String> {
    let words = [
        shown(record.bad_samples.filter(|bad| *bad > 0.0), |bad| format!("bad {bad:.0}")),
        shown(record.loss, |loss| format!("loss {loss:.3}")),
        shown(record.chance, |chance| format!("chance {chance:.3}")),
        shown(record.images_per_second, |rate| format!("{rate:>5.0} images/s")),
        shown(record.epoch, epoch),
        shown(record.probe.linear, percent("linear")),
        shown(record.probe.mlp, percent("mlp")),
        bottleneck(record),
    ];
    words.into_iter().flatten().collect()
}

/// Formats the numbers of a validation.
fn of_validation(record: &ValidationRecord) -> Vec<String> {
    let words = [
        shown(record.epoch, epoch),
        shown(record.linear, percent("linear")),
        shown(record.mlp, percent("mlp")),
        shown(record.knn, percent("knn")),
        shown(record.rankme, |rank| format!("effective rank {rank:.1}")),
    ];
    words.into_iter().flatten().collect()
}

fn shown(number: Number, words: impl FnOnce(f64) -> String) -> Option<String> {
    number.filter(|number| number.is_finite()).map(words)
}

fn epoch(epoch: f64) -> String {
    format!("epoch {epoch:.2}")
}

fn percent(label: &'static str) -> impl FnOnce(f64) -> String {
    move |share| format!("{label} {:.1} %", 100.0 * share)
}

/// Formats the bottleneck, its share of the time, and the flag that helps.
fn bottleneck(record: &TrainRecord) -> Option<String> {
    let share = 100.0 * record.bound_share?;
    let what = match record.bound? {
        Bottleneck::Data => format!("data-bound: waited {share:.0} %"),
        Bottleneck::Copy => format!("copy-bound: copying {share:.0} %"),
        Bottleneck::Compute => format!("compute-bound {share:.0} %"),
    };
    let cure = record.cure.as_ref().map_or(String::new(), |cure| format!(", try {cure}"));
    Some(what + &cure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::ProbeNumbers;

    #[test]
    fn a_record_shows_the_numbers_that_are_present_and_finite() {
        let probe = ProbeNumbers { linear: Some(f64::NAN), mlp: Some(0.5), ..ProbeNumbers::default() };
        let (epoch, loss, chance) = (Some(1.5), Some(2.0), Some(3.0));
        let bad_samples = Some(0.0);
        let record = TrainRecord { epoch, loss, chance, bad_samples, probe, ..TrainRecord::default() };
        assert_eq!(of_training(&record), ["loss 2.000", "chance 3.000", "epoch 1.50", "mlp 50.0 %"]);
        let record = TrainRecord {
            bound: Some(Bottleneck::Data),
            bound_share: Some(0.34),
            bad_samples: Some(2.0),
            cure: Some("--workers 8".to_owned()),
            ..TrainRecord::default()
        };
        assert_eq!(of_training(&record), ["bad 2", "data-bound: waited 34 %, try --workers 8"]);
        let record = ValidationRecord { knn: Some(0.25), rankme: Some(7.0), ..ValidationRecord::default() };
        assert_eq!(of_validation(&record), ["knn 25.0 %", "effective rank 7.0"]);
    }
}
