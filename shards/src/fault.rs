//! Trouble with a whole shard.

use std::sync::Arc;

/// Trouble with a whole shard, found by the index; the rest of the set goes on without what it hides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFault {
    /// The shard.
    pub shard: Arc<str>,
    /// Byte at which the trouble begins.
    pub offset: u64,
    /// What it is, as a clause about the shard ("it is empty").
    pub reason: String,
}

/// Trouble with a shard that leaves its other samples usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) offset: u64,
    pub(crate) reason: String,
}

impl Fault {
    /// The fault, with the shard that has it.
    pub(crate) fn of(self, shard: &Arc<str>) -> ShardFault {
        ShardFault { shard: Arc::clone(shard), offset: self.offset, reason: self.reason }
    }
}
