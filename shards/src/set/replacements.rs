//! Samples that take the places of bad ones.

use std::sync::Arc;

use super::reader::Reader;
use crate::{Place, Result, Sample};

/// Random access to the samples that follow a place of an endless stream, whichever rank they belong to. A
/// good one of them takes the place of a bad sample. Clones share everything.
#[derive(Debug, Clone)]
pub struct Replacements {
    reader: Arc<Reader>,
}

impl Replacements {
    pub(super) fn new(reader: Arc<Reader>) -> Self {
        Self { reader }
    }

    /// Returns the place of the stream's sample `number`, counted from 0.
    pub fn place(&self, number: u64) -> Place {
        self.reader.route.place(number)
    }

    /// Returns the place after this one in the same partition, perhaps in the next epoch.
    pub fn after(&self, place: Place) -> Place {
        let position = self.reader.route.sequence().advance(place.position, 1);
        Place { position, ..place }
    }

    /// Returns the index of the sample at a place.
    pub fn index(&self, place: Place) -> u64 {
        self.reader.route.sequence().index(place)
    }

    /// Reads the sample at a place, to take the place of the stream's sample `number`: the position after it
    /// is that after the batch of sample `number`.
    ///
    /// # Errors
    /// [`Error::Sample`](crate::Error::Sample) if the sample cannot be read.
    pub fn read(&self, place: Place, number: u64) -> Result<Sample> {
        self.reader.at(place, number)
    }

    /// Returns the number of places of a partition in an epoch.
    pub fn epoch_length(&self) -> u64 {
        self.reader.route.sequence().length()
    }

    /// Returns the number of partitions.
    pub fn partitions(&self) -> u64 {
        self.reader.route.sequence().partitions() as u64
    }

    /// Returns the number of ranks that share the batches.
    pub fn ranks(&self) -> u64 {
        self.reader.route.ranks()
    }
}
