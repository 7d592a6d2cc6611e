//! Numbers of samples and findings in a shard, or in a set.

use std::collections::BTreeMap;

use pipeline::Oddity;
use serde_json::{Value, json};

use super::{examine::Examined, finding::Finding, kind::Kind};

/// Numbers of samples and of findings of each kind, in a shard or in a set.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Samples, including those that cannot be used.
    pub samples: u64,
    /// Samples with a label.
    pub labelled: u64,
    /// Samples that training can use.
    pub kept: u64,
    /// Members that are neither an image nor a label.
    pub ignored: u64,
    /// Images that are used though something is odd about them, by that oddity.
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

    /// Number of findings of a kind.
    pub fn found(&self, kind: Kind) -> u64 {
        self.found[kind as usize]
    }

    /// Number of findings of all chosen kinds.
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

    /// The counts as a JSON object that begins with `name`: `of`, e.g. `"shard": "a.tar"` or `"shards": 7`.
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
