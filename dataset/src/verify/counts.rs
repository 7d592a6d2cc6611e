//! Numbers of samples and findings in a shard, or in a set.

use std::collections::BTreeMap;

use pipeline::Oddity;
use serde_json::{Value, json};

use super::{examine::Examined, finding::Finding, kind::Kind};

/// Numbers of samples and of findings of each kind, in a shard or in a set.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Counts {
    /// The number of samples, bad ones included.
    pub samples: u64,
    /// The number of samples with a label.
    pub labelled: u64,
    /// The number of samples that training can use.
    pub kept: u64,
    /// The number of members that are neither image nor label.
    pub ignored: u64,
    /// The number of kept images with each oddity.
    pub oddities: BTreeMap<Oddity, u64>,
    found: [u64; Kind::ALL.len()],
}

impl Counts {
    /// Counts one shard.
    pub(super) fn of(shard: &Examined, findings: &[Finding]) -> Self {
        let mut counts = Self {
            samples: shard.samples.len() as u64,
            labelled: shard.samples.iter().filter(|sample| sample.label.is_some()).count() as u64,
            kept: shard.kept().count() as u64,
            ignored: shard.ignored,
            ..Self::default()
        };
        for oddity in shard.kept().flat_map(|(_, sample)| sample.oddities.iter()) {
            *counts.oddities.entry(oddity).or_default() += 1;
        }
        for finding in findings {
            counts.found[finding.kind as usize] += 1;
        }
        counts
    }

    /// Returns the number of findings of a kind.
    pub fn found(&self, kind: Kind) -> u64 {
        self.found[kind as usize]
    }

    /// Returns the number of findings of all chosen kinds.
    pub fn sum(&self, is_chosen: impl Fn(Kind) -> bool) -> u64 {
        Kind::ALL.into_iter().filter(|kind| is_chosen(*kind)).map(|kind| self.found(kind)).sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.labelled += other.labelled;
        self.kept += other.kept;
        self.ignored += other.ignored;
        self.found.iter_mut().zip(other.found).for_each(|(sum, more)| *sum += more);
        other.oddities.iter().for_each(|(oddity, more)| *self.oddities.entry(*oddity).or_default() += more);
    }

    /// Returns the counts as a JSON object that begins with `name`: `of`, e.g. `"shard": "a.tar"` or
    /// `"shards": 7`.
    pub fn to_json(&self, name: &str, of: impl Into<Value>) -> Value {
        let Self { samples, kept, labelled, ignored, .. } = self;
        let mut object = json!({ name: of.into(), "samples": samples, "kept": kept, "labelled": labelled, "ignored": ignored });
        for kind in Kind::ALL {
            object[kind.name()] = json!(self.found(kind));
        }
        let oddities = self.oddities.iter().map(|(oddity, count)| (oddity.name().to_owned(), json!(count)));
        object["tolerated_kinds"] = Value::Object(oddities.collect());
        object
    }
}
