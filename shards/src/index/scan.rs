//! One pass over the headers of a shard.

use super::{builder::Builder, shard_index::ShardIndex};
use crate::{
    Error, Result, Shard, ShardName,
    scan::{Scanner, Trouble},
};

/// Reads the index of a shard from its headers.
///
/// Damage is a fault of the index, and what comes before it is kept. What is no tar at all, or has a class that is none, is
/// an error: no sample of the set can be trusted then.
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
                builder.unreadable(offset, &format!("it cannot be read: {source}"));
                return builder.finish(shard);
            }
            Err(Trouble::Unsupported { offset, what }) => {
                return Err(Error::Unsupported { shard: name.shared(), offset, what });
            }
        }
    }
}
