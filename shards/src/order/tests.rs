//! Properties of the orders.

use super::*;

fn indices(order: &Order, partition: u64, total: u64, epoch: u64) -> Vec<u64> {
    let sequence = Sequence::new(order.clone(), total).unwrap();
    let epoch = sequence.epoch(epoch);
    (0..sequence.length).map(|offset| epoch.index(partition, offset)).collect()
}

fn shuffled(shuffle: &str) -> Order {
    Order { shuffle: shuffle.parse().unwrap(), ..Order::default() }
}

fn all_partitions(order: &Order, partitions: usize, total: u64, epoch: u64) -> Vec<u64> {
    let order = Order { partitions, ..order.clone() };
    (0..partitions as u64).flat_map(|partition| indices(&order, partition, total, epoch)).collect()
}

#[test]
fn every_sample_is_seen_at_most_once_per_epoch_across_all_partitions() {
    for (total, shuffle) in [
        (1, "window:4"),
        (31, "window:8"),
        (32, "window:1"),
        (1000, "window:100"),
        (777, "window:10000"),
        (65, "none"),
        (1, "global"),
        (777, "global"),
    ] {
        for partitions in [1, 2, 3, 7].into_iter().filter(|&partitions| partitions as u64 <= total) {
            let order = shuffled(shuffle);
            let mut seen = all_partitions(&order, partitions, total, 5);
            assert_eq!(seen.len() as u64, total / partitions as u64 * partitions as u64);
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len() as u64, total / partitions as u64 * partitions as u64);
            assert!(seen.iter().all(|&index| index < total));
        }
    }
}

#[test]
fn the_remainder_of_the_division_differs_from_epoch_to_epoch() {
    for order in ["window:16384", "global"].map(shuffled) {
        let mut never_seen: Vec<u64> = (0..10).collect();
        for epoch in 0..40 {
            let seen = all_partitions(&order, 3, 10, epoch);
            never_seen.retain(|index| !seen.contains(index));
        }
        assert!(never_seen.is_empty(), "{never_seen:?}");
    }
}

#[test]
fn without_shuffling_samples_come_in_stored_order() {
    let order = shuffled("none");
    assert_eq!(indices(&order, 0, 100, 3), (0..100).collect::<Vec<_>>());
}

#[test]
fn each_epoch_and_seed_has_its_own_order() {
    let of = |seed, epoch| indices(&Order { seed, ..Order::default() }, 0, 200, epoch);
    assert_eq!(of(1, 1), of(1, 1));
    assert_ne!(of(1, 1), of(1, 2));
    assert_ne!(of(1, 1), of(2, 1));
}

#[test]
fn neighbours_are_separated_even_by_a_small_window() {
    let order = shuffled("window:256");
    let found = indices(&order, 0, 10_000, 0);
    let neighbours = found.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < CHUNK).count();
    // Of the 256 samples in a window, 32 are of the same chunk: about one pair in eight; unshuffled it would
    // be all.
    assert!(neighbours < 2_500, "{neighbours}");
}

#[test]
fn each_window_partition_and_epoch_is_mixed_differently() {
    let order = shuffled("window:256");
    let order = Order { partitions: 2, ..order };
    let mixed = |partition, epoch, window: u64| {
        let sequence = Sequence::new(order.clone(), 10_000).unwrap();
        let epoch = sequence.epoch(epoch);
        let Arrangement::Chunked(epoch) = epoch.arrangement else { panic!("the shuffle has a window") };
        (0..256).map(|place| epoch.mixed(partition, window * 256 + place) - window * 256).collect::<Vec<_>>()
    };
    let of = [mixed(0, 0, 0), mixed(0, 0, 1), mixed(1, 0, 0), mixed(0, 1, 0)];
    let distinct: std::collections::BTreeSet<_> = of.iter().collect();
    assert_eq!(distinct.len(), of.len());
}

#[test]
fn impossible_partitions_and_positions_are_refused() {
    let new = |partitions, total| Sequence::new(Order { partitions, ..Order::default() }, total);
    assert!(matches!(new(3, 2), Err(Error::TooFew { samples: 2, partitions: 3 })));
    assert!(matches!(new(0, 2), Err(Error::TooFew { samples: 2, partitions: 0 })));
    let sequence = new(2, 9).unwrap();
    assert!(sequence.check(Position { epoch: 9, offset: 3 }).is_ok());
    assert!(matches!(sequence.check(Position { epoch: 0, offset: 4 }), Err(Error::Position { .. })));
}

#[test]
fn the_end_of_an_epoch_is_the_beginning_of_the_next() {
    let sequence = Sequence::new(Order::default(), 9).unwrap();
    let last = Position { epoch: 2, offset: 8 };
    assert_eq!(sequence.advance(last, 1), Position { epoch: 3, offset: 0 });
    assert_eq!(sequence.advance(last, 12), Position { epoch: 4, offset: 2 });
}

/// Fixed values: runs that were started with earlier versions must continue in the same order.
#[test]
fn the_order_of_a_seed_stays_what_it_was() {
    let of = |shuffle: &str, seed, epoch, total, (partition, partitions)| {
        let order = Order { seed, partitions, ..shuffled(shuffle) };
        let sequence = Sequence::new(order, total).unwrap();
        let epoch = sequence.epoch(epoch);
        let offsets = [0, 1, 2, 16_383, 16_384, sequence.length / 2, sequence.length - 1];
        offsets.map(|offset| epoch.index(partition, offset))
    };
    let all = of("window:16384", 0, 0, 1_300_000, (0, 1));
    assert_eq!(all, [372_084, 392_188, 74_225, 1_066_900, 434_916, 131_997, 12_842]);
    let second = of("window:16384", 7, 3, 100_003, (1, 2));
    assert_eq!(second, [35_296, 47_392, 92_001, 87_727, 64_101, 45_430, 18_760]);
}

/// Computes the correlation of two columns.
fn correlation(pairs: impl Iterator<Item = (u64, u64)> + Clone) -> f64 {
    let count = pairs.clone().count() as f64;
    let (x, y) = pairs.clone().fold((0.0, 0.0), |(x, y), pair| (x + pair.0 as f64, y + pair.1 as f64));
    let (x, y) = (x / count, y / count);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        let (a, b) = (a as f64 - x, b as f64 - y);
        (xy, xx, yy) = (xy + a * b, xx + a * a, yy + b * b);
    }
    xy / (xx * yy).sqrt()
}

/// Returns the place of every sample in the order `indices`.
fn positions(indices: &[u64]) -> Vec<u64> {
    let mut positions = vec![0; indices.len()];
    indices.iter().zip(0..).for_each(|(&index, position)| positions[index as usize] = position);
    positions
}

/// Spearman's rank correlation of `n` independent pairs has a standard deviation of 1/√(n − 1). With a
/// window, samples of a chunk travel together, so that only chunks are independent. A value beyond 4.5
/// standard deviations has a probability below 1 in 100,000; 40 values are tested.
#[test]
fn an_epoch_is_uncorrelated_with_the_one_before_and_with_the_stored_order() {
    let total = 64_000;
    for (shuffle, independent) in
        [("global", total), ("window:16384", total / CHUNK), ("window:1024", total / CHUNK)]
    {
        let bound = 4.5 / ((independent - 1) as f64).sqrt();
        for seed in 0..5 {
            let order = Order { seed, ..shuffled(shuffle) };
            let epochs = [0, 1].map(|epoch| positions(&indices(&order, 0, total, epoch)));
            let [first, second] = &epochs;
            let between = correlation(first.iter().copied().zip(second.iter().copied()));
            let stored = correlation(first.iter().copied().zip(0..));
            assert!(between.abs() < bound, "{shuffle}, seed {seed}: {between} between epochs");
            assert!(stored.abs() < bound, "{shuffle}, seed {seed}: {stored} with the storage");
        }
    }
}

/// Places uniform over an epoch of length 1 have a standard deviation of 1/√12, and `n` independent ones span
/// (n − 1)/(n + 1) of it on average. With a window a shard of 1,280 samples is 40 chunks, each spread over at
/// least a window.
#[test]
fn the_samples_of_a_shard_are_spread_over_the_whole_epoch() {
    let (total, shard) = (128_000, 1_280);
    for (shuffle, reach) in [("global", 0.99), ("window:16384", 0.93), ("window:1024", 0.93)] {
        let positions = positions(&indices(&shuffled(shuffle), 0, total, 0));
        let spread = |places: &[u64]| {
            let mean = places.iter().sum::<u64>() as f64 / places.len() as f64;
            let square = places.iter().map(|&place| (place as f64 - mean).powi(2)).sum::<f64>();
            (square / places.len() as f64 * 12.0).sqrt() / total as f64
        };
        let reaches = |places: &[u64]| (places.iter().max().unwrap() - places.iter().min().unwrap()) as f64;
        let shards = positions.len() as f64 / shard as f64;
        let mean_spread = positions.chunks(shard).map(spread).sum::<f64>() / shards;
        let mean_reach = positions.chunks(shard).map(reaches).sum::<f64>() / shards / total as f64;
        // The spread of 40 uniform chunks has a relative standard deviation of 7 %, and the mean of 100
        // shards of 0.7 %.
        assert!((mean_spread - 1.0).abs() < 0.04, "{shuffle}: a spread of {mean_spread}");
        assert!(mean_reach > reach, "{shuffle}: a reach of {mean_reach}");
    }
}
