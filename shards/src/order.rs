//! Which sample comes next.

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    permutation::{Permutation, mix},
};

/// Consecutive samples that stay together until the window mixes them: one read from a slow disk.
const CHUNK: u64 = 32;

/// In which order samples come, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// What the order of every epoch is derived from.
    pub seed: u64,
    /// Whether each epoch has an order of its own; otherwise every epoch has that of the shards.
    pub shuffle: bool,
    /// Samples that are mixed thoroughly with each other, after chunks of 32 neighbours were shuffled over the whole
    /// set; as large as the set, it makes the shuffle perfect. Costs no memory.
    pub window: usize,
    /// Passes over the set, counted from the very first; endless where absent.
    pub epochs: Option<u64>,
}

impl Default for Order {
    fn default() -> Self {
        Self { seed: 0, shuffle: true, window: 16_384, epochs: None }
    }
}

/// Which part of each epoch is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Our number among those who divide the samples.
    pub rank: usize,
    /// How many they are.
    pub world_size: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self { rank: 0, world_size: 1 }
    }
}

/// Where the samples of one rank stand: all that resuming needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Passes over the set that are complete.
    pub epoch: u64,
    /// Samples of this rank already taken in this epoch.
    pub offset: u64,
}

/// The samples of one rank, each reached without those before it.
///
/// An epoch is all samples, its chunks shuffled and the whole rotated; rank after rank takes an equal span of that, and
/// mixes it window by window. What the division leaves over is nobody's, and another part of the set each epoch.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    order: Order,
    rank: u64,
    /// Samples in the whole set.
    total: u64,
    /// Samples of each rank in an epoch; never 0.
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

    /// Refuses a position that this sequence does not have.
    pub(crate) fn check(&self, position: Position) -> Result<()> {
        if position.offset < self.length {
            return Ok(());
        }
        Err(Error::Position { offset: position.offset, length: self.length })
    }

    /// Whether there is a sample at this position.
    pub(crate) fn is_over(&self, position: Position) -> bool {
        self.order.epochs.is_some_and(|epochs| position.epoch >= epochs)
    }

    /// Samples from here to the end of the epoch.
    pub(crate) fn left(&self, position: Position) -> u64 {
        self.length - position.offset
    }

    /// The position `count` samples later, which lie in the same epoch.
    pub(crate) fn advance(&self, position: Position, count: u64) -> Position {
        let offset = position.offset + count;
        if offset < self.length {
            Position { offset, ..position }
        } else {
            Position { epoch: position.epoch + 1, offset: 0 }
        }
    }

    /// The order of one epoch.
    pub(crate) fn epoch(&self, epoch: u64) -> Epoch<'_> {
        let key = mix(self.order.seed, epoch);
        let chunks = Permutation::new(self.total.div_ceil(CHUNK), mix(key, 0));
        let rotation = if self.order.shuffle { mix(key, 1) % self.total } else { 0 };
        let short = chunks.invert(self.total.div_ceil(CHUNK) - 1) * CHUNK;
        Epoch { sequence: self, key, chunks, rotation, short }
    }
}

/// The order of one epoch.
#[derive(Debug)]
pub(crate) struct Epoch<'a> {
    sequence: &'a Sequence,
    key: u64,
    chunks: Permutation,
    rotation: u64,
    /// Where the set's last chunk, which may be shorter than the others, begins in the shuffled order.
    short: u64,
}

impl Epoch<'_> {
    /// The index of the sample that this rank takes at `offset`.
    pub(crate) fn index(&self, offset: u64) -> u64 {
        let Sequence { order, rank, total, length } = self.sequence;
        if !order.shuffle {
            return rank * length + offset;
        }
        let place = rank * length + self.mixed(offset);
        self.shuffled((place + self.rotation) % total)
    }

    /// Mixes a rank's samples within their window.
    fn mixed(&self, offset: u64) -> u64 {
        let Sequence { order, rank, length, .. } = self.sequence;
        let window = (order.window as u64).max(1);
        let number = offset / window;
        let start = number * window;
        let key = mix(mix(self.key, 2 + rank), number);
        start + Permutation::new(window.min(length - start), key).apply(offset - start)
    }

    /// The index at a place of the shuffled chunks.
    fn shuffled(&self, place: u64) -> u64 {
        let total = self.sequence.total;
        let last = total.div_ceil(CHUNK) - 1;
        // Behind the short chunk every place is moved up by what that one lacks.
        let end_of_short = self.short + (total - last * CHUNK);
        let place = if place < end_of_short { place } else { place + (last + 1) * CHUNK - total };
        self.chunks.apply(place / CHUNK) * CHUNK + place % CHUNK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(order: &Order, share: Share, total: u64, epoch: u64) -> Vec<u64> {
        let sequence = Sequence::new(order.clone(), share, total).unwrap();
        let epoch = sequence.epoch(epoch);
        (0..sequence.length).map(|offset| epoch.index(offset)).collect()
    }

    fn all_ranks(order: &Order, world_size: usize, total: u64, epoch: u64) -> Vec<u64> {
        (0..world_size).flat_map(|rank| indices(order, Share { rank, world_size }, total, epoch)).collect()
    }

    #[test]
    fn every_sample_is_seen_at_most_once_per_epoch_across_all_ranks() {
        for (total, window, shuffle) in [
            (1, 4, true),
            (31, 8, true),
            (32, 1, true),
            (1000, 100, true),
            (777, 10_000, true),
            (65, 7, false),
        ] {
            for world_size in [1, 2, 3, 7].into_iter().filter(|&world_size| world_size as u64 <= total) {
                let order = Order { shuffle, window, ..Order::default() };
                let mut seen = all_ranks(&order, world_size, total, 5);
                assert_eq!(seen.len() as u64, total / world_size as u64 * world_size as u64);
                seen.sort_unstable();
                seen.dedup();
                assert_eq!(seen.len() as u64, total / world_size as u64 * world_size as u64);
                assert!(seen.iter().all(|&index| index < total));
            }
        }
    }

    #[test]
    fn what_the_division_leaves_over_differs_from_epoch_to_epoch() {
        let order = Order::default();
        let mut never_seen: Vec<u64> = (0..10).collect();
        for epoch in 0..40 {
            let seen = all_ranks(&order, 3, 10, epoch);
            never_seen.retain(|index| !seen.contains(index));
        }
        assert!(never_seen.is_empty(), "{never_seen:?}");
    }

    #[test]
    fn without_shuffling_samples_come_as_they_lie() {
        let order = Order { shuffle: false, ..Order::default() };
        assert_eq!(indices(&order, Share::default(), 100, 3), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn epochs_and_seeds_have_orders_of_their_own() {
        let of = |seed, epoch| indices(&Order { seed, ..Order::default() }, Share::default(), 200, epoch);
        assert_eq!(of(1, 1), of(1, 1));
        assert_ne!(of(1, 1), of(1, 2));
        assert_ne!(of(1, 1), of(2, 1));
    }

    #[test]
    fn neighbours_are_parted_even_by_a_small_window() {
        let order = Order { window: 256, ..Order::default() };
        let found = indices(&order, Share::default(), 10_000, 0);
        let neighbours = found.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < CHUNK).count();
        // Of 256 in a window, 32 are of the same chunk: one pair in eight or so, where unshuffled it would be all.
        assert!(neighbours < 2_500, "{neighbours}");
    }

    #[test]
    fn windows_ranks_and_epochs_are_mixed_each_in_its_own_way() {
        let order = Order { window: 256, ..Order::default() };
        let mixed = |rank, epoch, window: u64| {
            let sequence = Sequence::new(order.clone(), Share { rank, world_size: 2 }, 10_000).unwrap();
            let epoch = sequence.epoch(epoch);
            (0..256).map(|place| epoch.mixed(window * 256 + place) - window * 256).collect::<Vec<_>>()
        };
        let of = [mixed(0, 0, 0), mixed(0, 0, 1), mixed(1, 0, 0), mixed(0, 1, 0)];
        let distinct: std::collections::BTreeSet<_> = of.iter().collect();
        assert_eq!(distinct.len(), of.len());
    }

    #[test]
    fn impossible_shares_and_positions_are_refused() {
        let new =
            |rank, world_size, total| Sequence::new(Order::default(), Share { rank, world_size }, total);
        assert!(matches!(new(2, 2, 9), Err(Error::Share { .. })));
        assert!(matches!(new(0, 0, 9), Err(Error::Share { .. })));
        assert!(matches!(new(0, 3, 2), Err(Error::TooFew { .. })));
        let sequence = new(0, 2, 9).unwrap();
        assert!(sequence.check(Position { epoch: 9, offset: 3 }).is_ok());
        assert!(matches!(sequence.check(Position { epoch: 0, offset: 4 }), Err(Error::Position { .. })));
    }

    #[test]
    fn an_epoch_ends_at_the_beginning_of_the_next() {
        let sequence = Sequence::new(Order::default(), Share::default(), 9).unwrap();
        let last = Position { epoch: 2, offset: 8 };
        assert_eq!(sequence.advance(last, 1), Position { epoch: 3, offset: 0 });
    }
}
