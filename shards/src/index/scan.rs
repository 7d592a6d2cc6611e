//! One pass over the headers of a shard.

use super::{builder::Builder, shard_index::ShardIndex};
use crate::{
    Error, Result, Shard, ShardName,
    scan::{Scanner, Trouble},
};

/// Reads the index of a shard from its headers.
///
/// Damage becomes a fault of the index, and the samples before it are kept.
///
/// # Errors
/// The shard is not a tar, uses an unsupported form, or has an invalid class: no sample of the set can be
/// trusted then.
pub(crate) fn scan(name: &ShardName, shard: &Shard) -> Result<ShardIndex> {
    let mut builder = Builder::new(name);
    if !builder.open(shard)? {
        return builder.finish(shard);
    }
    let mut scanner = Scanner::new(shard, 0);
    loop {
        match scanner.next() {
            Ok(None) => return builder.finish(shard),
            Ok(Some(member)) => builder.add(&member, &mut scanner)?,
            Err(Trouble::Damaged { offset, reason }) => {
                builder.fault(offset, reason);
                return builder.finish(shard);
            }
            Err(Trouble::Unreadable { offset, source }) => {
                builder.unreadable(offset, "it cannot be read", &source);
                return builder.finish(shard);
            }
            Err(Trouble::Unsupported { offset, what }) => {
                return Err(Error::Unsupported { shard: name.shared(), offset, what });
            }
        }
    }
}
