//! The index of one shard.

use crate::{fault::Fault, remark::Tally, span::Span};

/// The samples of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ShardIndex {
    pub(crate) spans: Box<[Span]>,
    pub(crate) faults: Vec<Fault>,
    /// The unusual forms in it, counted by kind.
    pub(crate) tallies: Vec<Tally>,
    /// A hash of keys, labels and places of the samples.
    pub(crate) digest: u64,
    /// Whether every read succeeded. If not, the next try may find more, so the index is not cached.
    pub(crate) is_cacheable: bool,
}
