//! The index of one shard.

use crate::{fault::Fault, remark::Tally, span::Span};

/// The samples of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ShardIndex {
    pub(crate) spans: Box<[Span]>,
    pub(crate) faults: Vec<Fault>,
    /// What is unusual in it.
    pub(crate) tallies: Vec<Tally>,
    /// Identifies keys, labels and places of the samples.
    pub(crate) digest: u64,
    /// Whether every read succeeded: if not, the next one may find more, and the index is not worth keeping.
    pub(crate) is_cacheable: bool,
}
