//! Where shards come from.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::{Error, Result, Shard};

/// What a shard is called: for one on disk, its path as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardName(Arc<str>);

impl ShardName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without the folder that it lies in.
    pub fn base(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The name as the shared text that samples carry.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl<T: Into<Arc<str>>> From<T> for ShardName {
    fn from(name: T) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What tells one version of a shard from another without reading it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970; 0 where nobody knows. Programs can set it to any time.
    pub modified_ns: u64,
    /// When anything about its file last changed, in nanoseconds since 1970; 0 where nobody knows. Programs cannot set it: it
    /// tells of a shard that was written anew under an old time. It moves also when the file gets another name, other
    /// permissions or a link.
    pub changed_ns: u64,
    /// The number of its file, which another file under the same name does not have; 0 where there is none.
    pub inode: u64,
}

impl Stamp {
    /// Whether size and time of writing are the same: so they are of a shard that was copied or got other permissions, and of
    /// one that somebody wrote anew and gave the old time.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        (self.size, self.modified_ns) == (other.size, other.modified_ns)
    }
}

/// Where shards come from: listed once, then opened and dropped as samples are wanted.
pub trait Source: fmt::Debug + Send + Sync {
    /// The shards, in the order in which their samples are numbered.
    fn list(&self) -> Result<Vec<ShardName>>;

    /// Which version of the shard is there now.
    fn stamp(&self, name: &ShardName) -> Result<Stamp>;

    /// Opens the shard; its bytes stay valid as long as anyone holds a slice of them.
    fn open(&self, name: &ShardName) -> Result<Shard>;

    /// The one name under which the shard's index may be cached, whichever way the user wrote it; `None` for shards
    /// that no later process will see.
    fn identity(&self, _name: &ShardName) -> Option<String> {
        None
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn list(&self) -> Result<Vec<ShardName>> {
        (**self).list()
    }

    fn stamp(&self, name: &ShardName) -> Result<Stamp> {
        (**self).stamp(name)
    }

    fn open(&self, name: &ShardName) -> Result<Shard> {
        (**self).open(name)
    }

    fn identity(&self, name: &ShardName) -> Option<String> {
        (**self).identity(name)
    }
}

/// Shards made up in memory, for tests.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    shards: Vec<(ShardName, Bytes)>,
}

impl MemorySource {
    /// A source of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one shard after those that are there.
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
