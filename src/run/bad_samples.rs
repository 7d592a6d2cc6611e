//! `bad-samples.jsonl`: every bad sample, once.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::Result;
use pipeline::BadSample;
use serde_json::{Value, json};
use shards::ShardFault;

use crate::{
    metrics::{JsonLines, read_lines},
    world::World,
};

/// The list of bad samples and damaged shards.
#[derive(Debug)]
pub(crate) struct BadSamples {
    /// None on a process that does not lead, whose bad samples are counted and not written.
    lines: Option<JsonLines>,
    listed: HashSet<(String, u64)>,
    path: PathBuf,
}

impl BadSamples {
    /// Opens the list, and adds the faults that were found when the shards were indexed.
    pub(crate) fn open<'a>(
        path: &Path,
        faults: impl IntoIterator<Item = &'a ShardFault>,
        world: World,
    ) -> Result<Self> {
        let place = |line: &Value| Some((line["shard"].as_str()?.to_owned(), line["offset"].as_u64()?));
        let listed = read_lines(path)?.iter().filter_map(place).collect();
        let lines = world.on_lead(|| JsonLines::open(path, |_| true))?;
        let mut this = Self { lines, listed, path: path.to_owned() };
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

    /// Number of entries in the list.
    pub(crate) fn count(&self) -> usize {
        self.listed.len()
    }

    /// Warns where the list is, if it has entries.
    pub(crate) fn summarize(&self) {
        if self.count() > 0 {
            tracing::warn!(
                "bad samples and damaged shards: {}, listed in `{}`",
                self.count(),
                self.path.display()
            );
        }
    }

    /// Adds a sample or shard that is not in the list yet.
    pub(crate) fn add(&mut self, shard: &str, offset: u64, key: Option<&str>, reason: &str) -> Result<()> {
        if self.listed.insert((shard.to_owned(), offset))
            && let Some(lines) = &mut self.lines
        {
            lines.append(&json!({"shard": shard, "offset": offset, "key": key, "reason": reason}))?;
        }
        Ok(())
    }
}
