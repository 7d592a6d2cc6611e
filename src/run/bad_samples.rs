//! `bad-samples.jsonl`: every bad sample, once.

use std::{
    collections::HashSet,
    mem,
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

/// Returns the shard and the byte of a bad sample in a line of the list.
fn place(line: &Value) -> Option<(String, u64)> {
    Some((line["shard"].as_str()?.to_owned(), line["offset"].as_u64()?))
}

/// The list of bad samples and damaged shards.
#[derive(Debug)]
pub(crate) struct BadSamples {
    /// None on a process that does not lead, whose bad samples are counted and not written.
    lines: Option<JsonLines>,
    listed: HashSet<(String, u64)>,
    path: PathBuf,
    /// Those that the lead does not know yet.
    untold: Vec<Value>,
}

impl BadSamples {
    /// Opens the list, and adds the faults that were found when the shards were indexed.
    pub(crate) fn open<'a>(
        path: &Path,
        faults: impl IntoIterator<Item = &'a ShardFault>,
        world: World,
    ) -> Result<Self> {
        let is_lead = world.is_lead();
        let listed = if is_lead { read_lines(path)? } else { Vec::new() };
        let listed = listed.iter().filter_map(place).collect();
        let lines = if is_lead { Some(JsonLines::open(path, |_| true)?) } else { None };
        let mut this = Self { lines, listed, path: path.to_owned(), untold: Vec::new() };
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
        self.add_line(json!({"shard": shard, "offset": offset, "key": key, "reason": reason}))
    }

    fn add_line(&mut self, line: Value) -> Result<()> {
        let Some(place) = place(&line) else { return Ok(()) };
        if self.listed.insert(place) {
            match &mut self.lines {
                Some(lines) => lines.append(&line)?,
                None => self.untold.push(line),
            }
        }
        Ok(())
    }

    /// Adds the bad samples that the other processes have found since the last call.
    ///
    /// # Errors
    ///
    /// If another process is lost, or the list cannot be written.
    pub(crate) fn exchange(&mut self, world: World) -> Result<()> {
        if !world.has_others() {
            return Ok(());
        }
        let own = mem::take(&mut self.untold);
        for line in world.every(&own)?.into_iter().flatten() {
            self.add_line(line)?; // the lead writes it; others count it
        }
        self.untold.clear();
        Ok(())
    }
}
