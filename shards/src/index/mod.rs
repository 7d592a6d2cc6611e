//! The index of a shard: its samples and their places, from one pass over the headers.

mod builder;
mod companions;
mod folders;
mod gathered;
mod listed;
mod masks;
mod scan;
mod shard_index;
mod strays;
#[cfg(test)]
mod tests;

pub(crate) use builder::Builder;
pub(crate) use listed::{Detail, Listed};
pub(crate) use scan::scan;
pub(crate) use shard_index::ShardIndex;
