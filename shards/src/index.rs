//! Which samples a shard holds and where: one pass over its headers.

mod builder;
mod companions;
mod masks;
mod strays;

use crate::{
    Error, Result, Shard, ShardName,
    remark::Tally,
    scan::{Scanner, Trouble},
    span::Span,
};

pub(crate) use builder::{Builder, Detail, Listed};

/// Trouble with a shard that leaves its other samples usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) offset: u64,
    pub(crate) reason: String,
}

/// The samples of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) spans: Box<[Span]>,
    pub(crate) faults: Vec<Fault>,
    /// What is unusual in it.
    pub(crate) tallies: Vec<Tally>,
    /// Identifies keys, labels and places of the samples.
    pub(crate) digest: u64,
    /// Whether every read succeeded: if not, the next one may find more, and the index is not worth keeping.
    pub(crate) is_lasting: bool,
}

/// Reads the index of a shard from its headers.
///
/// Damage is a fault of the index, and what comes before it is kept. What is no tar at all, or has a class that is none, is
/// an error: no sample of the set can be trusted then.
pub(crate) fn scan(name: &ShardName, shard: &Shard) -> Result<Index> {
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

#[cfg(test)]
mod tests;
