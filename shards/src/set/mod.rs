//! A set of shards: its samples are indexed, numbered, and read in any order.

mod catalog;
mod indexing;
mod opened;
mod readahead;
mod reader;
mod replacements;
mod scout;
mod shard_set;
mod units;

pub use indexing::{IndexConfig, index_threads};
pub use readahead::{Samples, Stopper};
pub use replacements::Replacements;
pub use shard_set::{Location, ShardSet};
