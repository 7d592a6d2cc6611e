//! `validation.json`: what the last validation with a vote of neighbours has found, beyond its accuracy.

use std::{fs, path::Path};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{eval::tally::Report, files, hint::WithHint};

/// The most classes whose whole confusion matrix is kept.
pub const MATRIX: u32 = 50;
/// The most confused pairs that are kept of more classes.
const PAIRS: usize = 100;

/// The findings of a validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// Steps made.
    pub step: u64,
    /// The number of neighbours that vote.
    pub k: u32,
    /// The number of classes.
    pub classes: u32,
    /// The labelled samples that were judged.
    pub samples: u64,
    /// The share of the samples of each class that the vote classifies correctly; none for a class without samples.
    pub per_class: Vec<Option<f64>>,
    /// Class, class by the vote, and number of samples: all that are not zero or, of more than 50 classes, the confusions
    /// with the most samples.
    pub confusion: Vec<(u32, u32, u64)>,
    /// Some validation samples, evenly spread, with their nearest training samples.
    pub queries: Vec<Query>,
}

/// A validation sample and the training samples nearest to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// The sample.
    #[serde(flatten)]
    pub sample: Named,
    /// The nearest training samples, nearest first.
    pub nearest: Vec<Neighbour>,
}

/// A training sample near a validation sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The sample.
    #[serde(flatten)]
    pub sample: Named,
    /// The cosine of the features of both.
    pub cosine: f64,
}

/// A sample of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The number of the sample in its set.
    pub index: u64,
    /// Its key; none if its shard could not be read.
    pub key: Option<String>,
    /// Its label, if it has one.
    pub label: Option<u32>,
}

impl Findings {
    /// The most validation samples whose neighbours are kept.
    pub const QUERIES: u64 = 40;
    /// The neighbours that are kept of each.
    pub const NEAREST: i64 = 6;

    /// Returns the findings of a vote of `k` neighbours after `step` steps.
    pub fn of(step: u64, k: u32, report: &Report, queries: Vec<Query>) -> Self {
        let mut confusion = report.confusion.clone();
        if report.classes > MATRIX {
            confusion.retain(|(class, voted, _)| class != voted);
            confusion.sort_by_key(|&(class, voted, samples)| (u64::MAX - samples, class, voted));
            confusion.truncate(PAIRS);
        }
        let (per_class, classes, samples) = (report.per_class.clone(), report.classes, report.samples);
        Self { step, k, classes, samples, per_class, confusion, queries }
    }

    /// Reads the findings of a run. Returns `None` if there are none, or if they are damaged.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Writes the findings in place of earlier ones.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        files::replace(path, &serde_json::to_vec(self)?).or_cannot_write(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(classes: u32) -> Report {
        let confusion = (0..classes).flat_map(|class| [(class, class, 9), (class, 0, u64::from(class % 7))]);
        Report {
            top1: 0.5,
            top5: 0.9,
            samples: 100,
            classes,
            per_class: vec![None; classes as usize],
            confusion: confusion.collect(),
        }
    }

    #[test]
    fn of_many_classes_the_most_confused_pairs_are_kept() {
        assert_eq!(Findings::of(3, 20, &report(50), Vec::new()).confusion.len(), 100);
        let many = Findings::of(3, 20, &report(900), Vec::new());
        assert_eq!(many.confusion.len(), 100);
        assert_eq!(many.confusion[0], (6, 0, 6));
        assert!(many.confusion.iter().all(|(class, voted, samples)| class != voted && *samples == 6));
    }

    #[test]
    fn findings_are_read_as_they_were_written() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("validation.json");
        assert_eq!(Findings::read(&path), None);
        let named = |index| Named { index, key: Some(format!("k{index}")), label: Some(2) };
        let nearest = vec![Neighbour { sample: named(4), cosine: 0.75 }];
        let findings = Findings::of(3, 20, &report(3), vec![Query { sample: named(1), nearest }]);
        findings.write(&path).unwrap();
        assert_eq!(Findings::read(&path), Some(findings));
        fs::write(&path, "{").unwrap();
        assert_eq!(Findings::read(&path), None);
    }
}
