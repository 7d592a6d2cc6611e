//! The samples of evaluations, and batches of them.

use anyhow::Result;
use pipeline::LoaderConfig;
use shards::{Division, Order, Position, ShardSet, Shuffle};
use tch::{Device, Kind};

use crate::{config::Config, data, feed::Feed, world::World};

/// Returns batches of all samples of a set, in order, rendered by the evaluation recipe of the
/// configuration's preset.
pub(crate) fn images(set: &ShardSet, config: &Config, device: Device) -> Result<Feed> {
    const BATCH: usize = 100;
    let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
    let samples = set.samples(order, Division::default(), Position::default());
    let loader = LoaderConfig { drop_last: false, ..data::loader(config, BATCH) };
    Feed::spawn(samples, config.evaluation(), (config.normalization(), Kind::Float), &loader, device)
}

/// Returns the share of a process in the samples of a set, and the number of its first one: shares follow each other in
/// the order of ranks.
pub(crate) fn share(set: &ShardSet, world: World) -> (ShardSet, u64) {
    if !world.has_others() {
        return (set.clone(), 0);
    }
    let own = world.share(set.len());
    (set.subset(own.clone().collect()), own.start)
}

/// Returns the samples that have a label.
pub(crate) fn labelled(set: &ShardSet) -> ShardSet {
    if set.labelled() == set.len() {
        return set.clone();
    }
    set.subset((0..set.len()).filter(|&index| set.label(index).is_some()).collect())
}

/// Returns `count` evenly spaced samples of the labelled ones of a set, or all of them if there are no more, with their
/// indices in the set.
pub(crate) fn gallery(set: &ShardSet, count: u64) -> (ShardSet, Vec<u64>) {
    let labelled = || (0..set.len()).filter(|&index| set.label(index).is_some());
    let all = set.labelled();
    let chosen: Vec<u64> = match () {
        () if all <= count => labelled().collect(),
        () if all == set.len() => numbers(all, count).collect(),
        () => {
            let labelled: Vec<u64> = labelled().collect();
            numbers(all, count).map(|number| labelled[number as usize]).collect()
        }
    };
    (set.subset(chosen.clone()), chosen)
}

/// Returns `count` evenly spaced numbers below `all`, which is larger.
fn numbers(all: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |k| (u128::from(k) * u128::from(all) / u128::from(count)) as u64)
}

/// Returns `count` evenly spaced samples of a set, or all if it has no more.
pub(crate) fn evenly(set: &ShardSet, count: u64) -> ShardSet {
    if set.len() <= count {
        return set.clone();
    }
    set.subset(numbers(set.len(), count).collect())
}
