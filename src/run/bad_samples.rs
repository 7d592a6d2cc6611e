//! `bad-samples.jsonl`: every sample that could not be used, once.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::Result;
use pipeline::BadSample;
use serde_json::{Value, json};
use shards::ShardFault;

use crate::metrics::{JsonLines, read_lines};

/// The list of unusable samples and damaged shards.
#[derive(Debug)]
pub(crate) struct BadSamples {
    lines: JsonLines,
    listed: HashSet<(String, u64)>,
    path: PathBuf,
}

impl BadSamples {
    /// Opens the list and adds what indexing found.
    pub(crate) fn open<'a>(path: &Path, faults: impl IntoIterator<Item = &'a ShardFault>) -> Result<Self> {
        let place = |line: &Value| Some((line["shard"].as_str()?.to_owned(), line["offset"].as_u64()?));
        let listed = read_lines(path)?.iter().filter_map(place).collect();
        let mut this = Self { lines: JsonLines::open(path, |_| true)?, listed, path: path.to_owned() };
        for fault in faults {
            this.add(&fault.shard, fault.offset, None, &fault.reason)?;
        }
        Ok(this)
    }

    /// Adds samples that are not in the list yet.
    pub(crate) fn write(&mut self, samples: &[BadSample]) -> Result<()> {
        samples
            .iter()
            .try_for_each(|sample| self.add(&sample.shard, sample.offset, Some(&sample.key), &sample.reason))
    }

    /// Entries of the list.
    pub(crate) fn count(&self) -> usize {
        self.listed.len()
    }

    /// Says where the list is, if there is anything in it.
    pub(crate) fn summarize(&self) {
        if self.count() > 0 {
            tracing::warn!(
                "unusable samples and shards: {}, listed in `{}`",
                self.count(),
                self.path.display()
            );
        }
    }

    fn add(&mut self, shard: &str, offset: u64, key: Option<&str>, reason: &str) -> Result<()> {
        if self.listed.insert((shard.to_owned(), offset)) {
            self.lines.append(&json!({"shard": shard, "offset": offset, "key": key, "reason": reason}))?;
        }
        Ok(())
    }
}
