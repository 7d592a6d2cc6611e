//! The division of batches into parts and among ranks.

use crate::{
    Error, Order, Position, Result,
    order::{Place, Sequence},
};

/// The division of each batch into parts and among ranks, and the rank whose samples a stream has.
///
/// Batch *b* of *n* samples takes samples *b·n/p* to *(b + 1)·n/p* of each of the *p* partitions of an
/// [`Order`], counted from where the stream begins. Part *k* of *K* has the *k*-th slice of these samples of
/// each partition, one partition after the other. Rank *r* of *R* takes the *r*-th slice of each part, one
/// part after the other. So batches and parts do not depend on the number of ranks.
///
/// The default is one rank, whose batches need not be known as long as there is one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    /// The number of this rank, from 0.
    pub rank: usize,
    /// The number of ranks.
    pub ranks: usize,
    /// The number of samples in the batches of all ranks together.
    pub batch: usize,
    /// The number of parts of a batch.
    pub parts: usize,
}

impl Default for Division {
    fn default() -> Self {
        Self { rank: 0, ranks: 1, batch: 1, parts: 1 }
    }
}

impl Division {
    /// Checks that every slice has the same number of samples: that the number of ranks divides that of
    /// `partitions` or the other way round, and that a batch can be divided among both in each part. One rank
    /// with one partition can take any batch.
    ///
    /// # Errors
    /// [`Error::Rank`], [`Error::Ranks`] or [`Error::Batch`], with the nearest possible numbers.
    pub fn check(self, partitions: usize) -> Result<()> {
        let Self { rank, ranks, batch, parts } = self;
        if rank >= ranks {
            return Err(Error::Rank { rank, ranks });
        }
        let is_possible = |ranks: &usize| can_share(*ranks, partitions);
        if !is_possible(&ranks) {
            let fewer = (1..ranks).rev().find(is_possible);
            let more = (ranks..=ranks + partitions).find(is_possible).unwrap_or(partitions);
            return Err(Error::Ranks { ranks, partitions, fewer, more });
        }
        let unit = if self.is_trivial(partitions) { 1 } else { parts.max(1) * ranks.max(partitions) };
        if parts == 0 || batch == 0 || !batch.is_multiple_of(unit) {
            let smaller = Some(batch / unit * unit).filter(|&smaller| smaller > 0);
            let larger = (batch / unit + 1) * unit;
            return Err(Error::Batch { batch, parts, partitions, ranks, smaller, larger });
        }
        Ok(())
    }

    /// Returns whether the stream has all samples in their order, however batches are divided.
    fn is_trivial(self, partitions: usize) -> bool {
        self.ranks == 1 && partitions <= 1
    }
}

/// Returns whether ranks can share partitions equally, or partitions ranks.
fn can_share(ranks: usize, partitions: usize) -> bool {
    ranks.is_multiple_of(partitions) || partitions.is_multiple_of(ranks)
}

/// The samples that one rank takes, from a position on, with random access by their number.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    sequence: Sequence,
    from: Position,
    rank: u64,
    /// The number of samples that this rank takes of each batch.
    share: u64,
    /// The number of samples that this rank takes of each part of a batch.
    slice: u64,
    /// The number of samples that a batch takes of each partition.
    stretch: u64,
    /// The number of samples that a part takes of each partition.
    run: u64,
}

impl Route {
    pub(crate) fn new(order: Order, division: Division, from: Position, total: u64) -> Result<Self> {
        let sequence = Sequence::new(order, total)?;
        let partitions = sequence.partitions();
        division.check(partitions)?;
        sequence.check(from)?;
        let Division { rank, ranks, batch, parts } = division;
        let parts = if division.is_trivial(partitions) { 1 } else { parts };
        let (share, stretch) = ((batch / ranks) as u64, (batch / partitions) as u64);
        let (slice, run) = (share / parts as u64, stretch / parts as u64);
        Ok(Self { sequence, from, rank: rank as u64, share, slice, stretch, run })
    }

    /// Returns the sequences of the partitions.
    pub(crate) fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    /// Returns the number of ranks.
    pub(crate) fn ranks(&self) -> u64 {
        self.stretch * self.sequence.partitions() as u64 / self.share
    }

    /// Returns the place of the rank's sample `number`, counted from 0.
    pub(crate) fn place(&self, number: u64) -> Place {
        let (batch, within) = (number / self.share, number % self.share);
        let (part, at) = (within / self.slice, self.rank * self.slice + within % self.slice);
        let count = batch * self.stretch + part * self.run + at % self.run;
        Place { partition: at / self.run, position: self.sequence.advance(self.from, count) }
    }

    /// Returns the position after the batch of the rank's sample `number`.
    pub(crate) fn next(&self, number: u64) -> Position {
        self.sequence.advance(self.from, (number / self.share + 1) * self.stretch)
    }

    /// Returns whether all epochs end before the batch of the rank's sample `number`.
    pub(crate) fn is_over(&self, number: u64) -> bool {
        self.sequence.is_over(self.sequence.advance(self.from, number / self.share * self.stretch))
    }
}

#[cfg(test)]
mod tests;
