//! The findings of a set: counted by shard and kind, with the first of each kind; the report gets all of
//! them.

use std::{collections::BTreeMap, path::Path};

use super::{
    compare::Notes,
    counts::Counts,
    examine::Examined,
    finding::{self, Finding},
    kind::Kind,
    report::Report,
};
use crate::error::{Result, VerifyError};

/// The number of findings of a kind that are kept to be shown.
const NAMED: usize = 5;

/// The findings of a set of shards.
#[derive(Debug)]
pub struct Findings {
    report: Option<Report>,
    shards: Vec<(String, Counts)>,
    totals: Counts,
    named: BTreeMap<Kind, Vec<Finding>>,
    shared_keys: u64,
}

impl Findings {
    /// Starts without findings; creates the file of the report.
    pub(super) fn create(report: Option<&Path>) -> Result<Self> {
        Ok(Self {
            report: report.map(Report::create).transpose()?,
            shards: Vec::new(),
            totals: Counts::default(),
            named: BTreeMap::new(),
            shared_keys: 0,
        })
    }

    /// Adds the findings of each shard.
    pub(super) fn add_all(&mut self, shards: &[Examined], notes: &Notes) -> Result<()> {
        self.shared_keys = notes.shared_keys;
        for number in 0..shards.len() {
            let found = finding::collect(shards, number, notes);
            self.add(&shards[number], found)?;
        }
        Ok(())
    }

    fn add(&mut self, shard: &Examined, found: Vec<Finding>) -> Result<()> {
        let counts = Counts::of(shard, &found);
        for finding in found {
            if let Some(report) = &mut self.report {
                report.write(&finding)?;
            }
            let named = self.named.entry(finding.kind).or_default();
            if named.len() < NAMED {
                named.push(finding);
            }
        }
        self.totals.add(&counts);
        self.shards.push((shard.name.as_str().to_owned(), counts));
        Ok(())
    }

    /// Returns the name and the counts of each shard, in the order of the patterns.
    pub fn shards(&self) -> &[(String, Counts)] {
        &self.shards
    }

    /// Returns the counts of all shards together.
    pub fn totals(&self) -> &Counts {
        &self.totals
    }

    /// Returns the first few findings of a kind.
    pub fn first(&self, kind: Kind) -> &[Finding] {
        self.named.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// Returns the number of keys that samples of several shards have, which is not damage.
    pub fn shared_keys(&self) -> u64 {
        self.shared_keys
    }

    /// Finishes the report, if there is one.
    pub(super) fn save_report(&mut self) -> Result<(), VerifyError> {
        let Some(report) = self.report.take() else { return Ok(()) };
        report.finish()
    }
}
