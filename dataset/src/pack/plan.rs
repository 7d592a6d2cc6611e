//! Assigns samples to shards.

use std::ops::Range;

use super::source::Source;
use crate::random::Random;

/// The limits of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The most samples in a shard.
    pub samples: u64,
    /// The most bytes of images in a shard. A larger image has a shard of its own.
    pub bytes: Option<u64>,
}

/// The order in which samples are packed, and the bounds of the shards in it.
#[derive(Debug)]
pub(super) struct Plan {
    order: Vec<u32>,
    shards: Vec<Range<usize>>,
}

impl Plan {
    /// Shuffles the samples by the seed `shuffle`, or keeps the order of the source.
    pub(super) fn new(source: &dyn Source, cut: Cut, shuffle: Option<u64>) -> Self {
        let count = u32::try_from(source.count()).expect("a set has less than 2^32 samples");
        let mut order: Vec<u32> = (0..count).collect();
        if let Some(seed) = shuffle {
            Random::new(&[seed]).shuffle(&mut order);
        }
        let sizes = order.iter().map(|&number| source.bytes(number as usize));
        let shards = split(sizes, cut);
        Self { order, shards }
    }

    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Returns the numbers of a shard's samples.
    pub(super) fn samples(&self, shard: usize) -> &[u32] {
        &self.order[self.shards[shard].clone()]
    }
}

fn split(sizes: impl Iterator<Item = u64>, cut: Cut) -> Vec<Range<usize>> {
    let mut shards: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (place, size) in sizes.enumerate() {
        let fits = |shard: &Range<usize>| {
            (shard.len() as u64) < cut.samples && cut.bytes.is_none_or(|most| bytes + size <= most)
        };
        match shards.last_mut() {
            Some(shard) if fits(shard) => {
                shard.end += 1;
                bytes += size;
            }
            _ => {
                shards.push(place..place + 1);
                bytes = size;
            }
        }
    }
    shards
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_ends_at_its_number_of_samples_or_bytes() {
        let split = |sizes: &[u64], samples, bytes| split(sizes.iter().copied(), Cut { samples, bytes });
        assert_eq!(split(&[5; 5], 2, None), [0..2, 2..4, 4..5]);
        assert_eq!(split(&[5, 5, 9, 20, 1], 100, Some(10)), [0..2, 2..3, 3..4, 4..5]);
        assert!(split(&[], 2, None).is_empty());
    }
}
