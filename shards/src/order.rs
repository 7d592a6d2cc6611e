//! The order of samples.

use std::num::NonZero;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result, Shuffle,
    permutation::{Permutation, mix},
};

/// The number of consecutive samples that stay together until the window mixes them: one read from a slow
/// disk.
const CHUNK: u64 = 32;

/// The order of samples, and the number of epochs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// The seed from which the order of every epoch is derived.
    pub seed: u64,
    /// How samples are shuffled.
    pub shuffle: Shuffle,
    /// The number of passes over the set, counted from the first; endless if absent.
    pub epochs: Option<u64>,
}

/// The part of each epoch that belongs to one rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The number of this rank, from 0.
    pub rank: usize,
    /// The number of ranks.
    pub world_size: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self { rank: 0, world_size: 1 }
    }
}

/// The position of a rank in its samples: all that resuming needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The number of complete passes over the set.
    pub epoch: u64,
    /// The number of samples that this rank has taken in this epoch.
    pub offset: u64,
}

/// The sequence of samples of one rank, with random access.
///
/// With a window, an epoch is the set's chunks in shuffled order, rotated by a random number of samples; each
/// rank takes an equal span of that and mixes it window by window. Shuffled globally, an epoch is one
/// permutation of all samples, divided in the same way. The remainder of the division is not used; it is
/// another part of the set in each epoch.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    order: Order,
    rank: u64,
    /// The number of samples in the whole set.
    total: u64,
    /// The number of samples of each rank in an epoch; never 0.
    length: u64,
}

impl Sequence {
    pub(crate) fn new(order: Order, share: Share, total: u64) -> Result<Self> {
        let Share { rank, world_size } = share;
        if rank >= world_size {
            return Err(Error::Share { rank, world_size });
        }
        let length = total / world_size as u64;
        if length == 0 {
            return Err(Error::TooFew { samples: total, world_size });
        }
        Ok(Self { order, rank: rank as u64, total, length })
    }

    /// Checks that a position lies within an epoch.
    pub(crate) fn check(&self, position: Position) -> Result<()> {
        if position.offset < self.length {
            return Ok(());
        }
        Err(Error::Position { offset: position.offset, length: self.length })
    }

    /// Returns whether all epochs end before this position.
    pub(crate) fn is_over(&self, position: Position) -> bool {
        self.order.epochs.is_some_and(|epochs| position.epoch >= epochs)
    }

    /// Returns the number of samples from a position to the end of its epoch.
    pub(crate) fn left(&self, position: Position) -> u64 {
        self.length - position.offset
    }

    /// Returns the position `count` samples later. All of them must lie in the same epoch.
    pub(crate) fn advance(&self, position: Position, count: u64) -> Position {
        let offset = position.offset + count;
        if offset < self.length {
            Position { offset, ..position }
        } else {
            Position { epoch: position.epoch + 1, offset: 0 }
        }
    }

    /// Returns the order of one epoch.
    pub(crate) fn epoch(&self, epoch: u64) -> Epoch<'_> {
        let key = mix(self.order.seed, epoch);
        let arrangement = match self.order.shuffle {
            Shuffle::None => Arrangement::Stored,
            Shuffle::Global => Arrangement::Permuted(Permutation::new(self.total, mix(key, 0))),
            Shuffle::Window(window) => Arrangement::Chunked(Chunked::new(self, window, key)),
        };
        Epoch { sequence: self, arrangement }
    }
}

/// The order of one epoch.
#[derive(Debug)]
pub(crate) struct Epoch<'a> {
    sequence: &'a Sequence,
    arrangement: Arrangement<'a>,
}

#[derive(Debug)]
enum Arrangement<'a> {
    Stored,
    Permuted(Permutation),
    Chunked(Chunked<'a>),
}

impl Epoch<'_> {
    /// Returns the index of the sample that this rank takes at `offset`.
    pub(crate) fn index(&self, offset: u64) -> u64 {
        let Sequence { rank, length, .. } = self.sequence;
        match &self.arrangement {
            Arrangement::Stored => rank * length + offset,
            Arrangement::Permuted(permutation) => permutation.apply(rank * length + offset),
            Arrangement::Chunked(chunked) => chunked.index(offset),
        }
    }
}

/// Chunks of neighbours, shuffled over the whole set and then mixed window by window.
#[derive(Debug)]
struct Chunked<'a> {
    sequence: &'a Sequence,
    window: NonZero<u64>,
    key: u64,
    chunks: Permutation,
    rotation: u64,
    /// The place in the shuffled order of the set's last chunk, which may be shorter than the others.
    short: u64,
}

impl<'a> Chunked<'a> {
    fn new(sequence: &'a Sequence, window: NonZero<u64>, key: u64) -> Self {
        let count = sequence.total.div_ceil(CHUNK);
        let chunks = Permutation::new(count, mix(key, 0));
        let (rotation, short) = (mix(key, 1) % sequence.total, chunks.invert(count - 1) * CHUNK);
        Self { sequence, window, key, chunks, rotation, short }
    }

    fn index(&self, offset: u64) -> u64 {
        let Sequence { rank, total, length, .. } = self.sequence;
        let place = rank * length + self.mixed(offset);
        self.shuffled((place + self.rotation) % total)
    }

    /// Mixes a rank's samples within their window.
    fn mixed(&self, offset: u64) -> u64 {
        let Sequence { rank, length, .. } = self.sequence;
        let number = offset / self.window;
        let start = number * self.window.get();
        let key = mix(mix(self.key, 2 + rank), number);
        start + Permutation::new(self.window.get().min(length - start), key).apply(offset - start)
    }

    /// Returns the index at a place of the shuffled chunks.
    fn shuffled(&self, place: u64) -> u64 {
        let total = self.sequence.total;
        let last = total.div_ceil(CHUNK) - 1;
        // After the short chunk every place is moved up by the samples that the chunk lacks.
        let end_of_short = self.short + (total - last * CHUNK);
        let place = if place < end_of_short { place } else { place + (last + 1) * CHUNK - total };
        self.chunks.apply(place / CHUNK) * CHUNK + place % CHUNK
    }
}

#[cfg(test)]
mod tests;
