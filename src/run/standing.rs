//! The standing of a run, as its files have it.

use std::path::PathBuf;

use serde::Serialize;

use super::promotion::Promotion;
use crate::metrics::{Number, Record};

/// The standing of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The run folder.
    pub run: PathBuf,
    /// Whether all steps are made.
    pub finished: bool,
    /// The step of the last checkpoint.
    pub step: Option<u64>,
    /// Steps of the whole run.
    pub steps: Option<u64>,
    /// The last record of training.
    pub train: Option<Record>,
    /// The last record of a validation.
    pub validation: Option<Record>,
    /// The result of its promotion, if that was asked for.
    pub promotion: Option<Promotion>,
}

impl Standing {
    /// Describes the standing in one line.
    pub(crate) fn in_words(&self) -> String {
        let number = |number: Option<u64>| number.map_or("?".to_owned(), |number| number.to_string());
        let end = if self.finished { "finished, " } else { "" };
        let numbers = self.numbers();
        let colon = if numbers.is_empty() { "" } else { ": " };
        format!(
            "`{}`, {end}step {} of {}{colon}{}",
            self.run.display(),
            number(self.step),
            number(self.steps),
            numbers.join(", ")
        )
    }

    /// Describes the loss and the accuracies; those of a validation are preferred to those of training.
    fn numbers(&self) -> Vec<String> {
        let train = self.train.as_ref().and_then(Record::train);
        let validation = self.validation.as_ref().and_then(Record::validation);
        let loss = train.and_then(|train| train.loss).map(|loss| format!("loss {loss:.3}"));
        let share = |name: &str, validated: Number, trained: Number| {
            let validated = validated.map(|share| ("validated", share));
            let (place, share) = validated.or(trained.map(|share| ("in training", share)))?;
            Some(format!("{name} {:.1} % {place}", 100.0 * share))
        };
        let linear =
            (validation.and_then(|record| record.linear), train.and_then(|train| train.probe.linear));
        let mlp = (validation.and_then(|record| record.mlp), train.and_then(|train| train.probe.mlp));
        let shares = [
            share("linear", linear.0, linear.1),
            share("mlp", mlp.0, mlp.1),
            share("knn", validation.and_then(|record| record.knn), None),
        ];
        [loss].into_iter().chain(shares).flatten().collect()
    }
}
