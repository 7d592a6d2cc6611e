//! What every source of shards can do.

use std::{fmt, sync::Arc};

use crate::{Result, Shard, ShardName, Stamp};

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
