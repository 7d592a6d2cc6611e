//! The order of samples.

use std::num::NonZero;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result, Shuffle,
    permutation::{Permutation, mix},
};

/// The number of consecutive samples that stay together until the window mixes them: one read from a slow
/// disk.
pub(crate) const CHUNK: u64 = 32;

/// The order of samples, and the number of epochs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// The seed from which the order of every epoch is derived.
    pub seed: u64,
    /// How samples are shuffled.
    pub shuffle: Shuffle,
    /// The number of equal spans into which each epoch is divided, from 1. Every batch takes the same number
    /// of samples of each.
    pub partitions: usize,
    /// The number of passes over the set, counted from the first; endless if absent.
    pub epochs: Option<u64>,
}

impl Default for Order {
    fn default() -> Self {
        Self { seed: 0, shuffle: Shuffle::default(), partitions: 1, epochs: None }
    }
}

/// The position of a stream in its samples: all that resuming needs. It is the same on all ranks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The number of complete passes over the set.
    pub epoch: u64,
    /// The number of samples that were taken of each partition in this epoch.
    pub offset: u64,
}

/// A place in the order: that of one sample in one epoch. Places of a partition compare by their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The number of the partition, from 0.
    pub partition: u64,
    /// The position before the sample.
    pub position: Position,
}

/// The sequences of samples of all partitions, with random access.
///
/// With a window, an epoch is the set's chunks in shuffled order, rotated by a random number of samples; each
/// partition takes an equal span of that and mixes it window by window. Shuffled globally, an epoch is one
/// permutation of all samples, divided in the same way. The remainder of the division is not used; it is
/// another part of the set in each epoch.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    order: Order,
    /// The number of samples in the whole set.
    total: u64,
    /// The number of samples of each partition in an epoch; never 0.
    length: u64,
}

impl Sequence {
    pub(crate) fn new(order: Order, total: u64) -> Result<Self> {
        let partitions = order.partitions;
        match total.checked_div(partitions as u64) {
            None | Some(0) => Err(Error::TooFew { samples: total, partitions }),
            Some(length) => Ok(Self { order, total, length }),
        }
    }

    /// Returns the number of partitions.
    pub(crate) fn partitions(&self) -> usize {
        self.order.partitions
    }

    /// Returns the number of samples of each partition in an epoch.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the number of samples of all partitions that are mixed with each other: 1 for the stored order.
    pub(crate) fn window(&self) -> u64 {
        match self.order.shuffle {
            Shuffle::None => 1,
            Shuffle::Global => self.total,
            Shuffle::Window(window) => {
                window.get().saturating_mul(self.order.partitions as u64).min(self.total)
            }
        }
    }

    /// Returns whether the epochs have no end.
    pub(crate) fn is_endless(&self) -> bool {
        self.order.epochs.is_none()
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

    /// Returns the position `count` samples of each partition later.
    pub(crate) fn advance(&self, position: Position, count: u64) -> Position {
        let offset = position.offset + count;
        Position { epoch: position.epoch + offset / self.length, offset: offset % self.length }
    }

    /// Returns the index of the sample at a place. [`epoch`](Self::epoch) is faster for several samples.
    pub(crate) fn index(&self, place: Place) -> u64 {
        self.epoch(place.position.epoch).index(place.partition, place.position.offset)
    }

    /// Returns the order of one epoch.
    pub(crate) fn epoch(&self, epoch: u64) -> Epoch<'_> {
        let key = mix(self.order.seed, epoch);
        let arrangement = match self.order.shuffle {
            Shuffle::None => Arrangement::Stored,
            Shuffle::Global => Arrangement::Permuted(Permutation::new(self.total, mix(key, 0))),
            Shuffle::Window(window) => Arrangement::Chunked(Chunked::new(self, window, key)),
        };
        Epoch { sequence: self, number: epoch, arrangement }
    }
}

/// The order of one epoch.
#[derive(Debug)]
pub(crate) struct Epoch<'a> {
    sequence: &'a Sequence,
    number: u64,
    arrangement: Arrangement<'a>,
}

#[derive(Debug)]
enum Arrangement<'a> {
    Stored,
    Permuted(Permutation),
    Chunked(Chunked<'a>),
}

impl Epoch<'_> {
    /// Returns the number of the epoch.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the index of the sample at `offset` of a partition.
    pub(crate) fn index(&self, partition: u64, offset: u64) -> u64 {
        let place = partition * self.sequence.length + offset;
        match &self.arrangement {
            Arrangement::Stored => place,
            Arrangement::Permuted(permutation) => permutation.apply(place),
            Arrangement::Chunked(chunked) => chunked.index(partition, offset),
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

    fn index(&self, partition: u64, offset: u64) -> u64 {
        let Sequence { total, length, .. } = self.sequence;
        let place = partition * length + self.mixed(partition, offset);
        self.shuffled((place + self.rotation) % total)
    }

    /// Mixes a partition's samples within their window.
    fn mixed(&self, partition: u64, offset: u64) -> u64 {
        let length = self.sequence.length;
        let number = offset / self.window;
        let start = number * self.window.get();
        let key = mix(mix(self.key, 2 + partition), number);
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
