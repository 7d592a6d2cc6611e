//! Shards in memory.

use bytes::Bytes;

use super::interface::Source;
use crate::{Error, Result, Shard, ShardName, Stamp};

/// A source of shards in memory, for tests.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    shards: Vec<(ShardName, Bytes)>,
}

impl MemorySource {
    /// Makes a source without shards.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one shard.
    #[must_use]
    pub fn with(mut self, name: impl Into<ShardName>, bytes: impl Into<Bytes>) -> Self {
        self.shards.push((name.into(), bytes.into()));
        self
    }

    fn bytes(&self, name: &ShardName) -> Result<&Bytes> {
        let found = self.shards.iter().find(|(other, _)| other == name);
        let (_, bytes) = found.ok_or_else(|| Error::Open {
            path: name.as_str().into(),
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        Ok(bytes)
    }
}

impl Source for MemorySource {
    fn list(&self) -> Result<Vec<ShardName>> {
        Ok(self.shards.iter().map(|(name, _)| name.clone()).collect())
    }

    fn stamp(&self, name: &ShardName) -> Result<Stamp> {
        Ok(Stamp { size: self.bytes(name)?.len() as u64, ..Stamp::default() })
    }

    fn open(&self, name: &ShardName) -> Result<Shard> {
        Ok(Shard::in_memory(self.bytes(name)?.clone()))
    }
}
