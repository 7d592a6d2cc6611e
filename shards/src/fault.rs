//! Faults of shards.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A fault of a shard that hides some of its samples; the others stay usable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardFault {
    /// The name of the shard.
    pub shard: Arc<str>,
    /// The byte at which the fault begins.
    pub offset: u64,
    /// The fault, as a clause about the shard ("it is empty").
    pub reason: String,
}

/// A fault of a shard that is not named yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) offset: u64,
    pub(crate) reason: String,
}

impl Fault {
    /// Adds the name of the shard.
    pub(crate) fn of(self, shard: &Arc<str>) -> ShardFault {
        ShardFault { shard: Arc::clone(shard), offset: self.offset, reason: self.reason }
    }
}
