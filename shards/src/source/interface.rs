//! The trait of all sources of shards.

use std::{fmt, sync::Arc};

use super::parts::Parts;
use crate::{Result, Shard, ShardName, Stamp};

/// A source of shards: they are listed once, then opened and dropped as samples are needed.
pub trait Source: fmt::Debug + Send + Sync {
    /// Lists the shards in the order in which their samples are numbered.
    ///
    /// # Errors
    /// The source cannot be read.
    fn list(&self) -> Result<Vec<ShardName>>;

    /// Returns the present version of a shard, without reading it.
    ///
    /// # Errors
    /// The shard is missing or inaccessible.
    fn stamp(&self, name: &ShardName) -> Result<Stamp>;

    /// Opens a shard. Its bytes stay valid as long as a slice of them is held.
    ///
    /// # Errors
    /// The shard is missing or inaccessible.
    fn open(&self, name: &ShardName) -> Result<Shard>;

    /// Returns the unique name under which the shard's index may be cached, however the user wrote it; `None`
    /// for shards that no later process will see.
    fn identity(&self, _name: &ShardName) -> Option<String> {
        None
    }

    /// Returns access to parts of shards, if whole shards are not at hand.
    fn parts(&self) -> Option<&dyn Parts> {
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
    fn parts(&self) -> Option<&dyn Parts> {
        (**self).parts()
    }
}
