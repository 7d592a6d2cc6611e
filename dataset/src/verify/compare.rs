//! Findings that need a comparison of samples: identical images, outliers, sorted shards.

use std::{collections::BTreeMap, fmt};

use super::examine::{Examined, Sample};

/// The least distance of an outlier from the median, in standard deviations of the logarithm, estimated by
/// the median deviation.
const DEVIATIONS: f64 = 6.0;
/// The least factor between an outlier and the median, since many sets have images of nearly one size.
const FACTOR: f64 = 8.0;

/// The least number of labelled samples in a sorted shard.
const LABELLED: usize = 10;
/// The least excess of a sorted shard, as a share of the way from mixed to sorted.
const EXCESS: f64 = 0.05;
/// The least distance of a sorted shard from a mixed one, in standard deviations.
const SIGNIFICANT: f64 = 6.0;

/// The place of a sample: the number of its shard, and its own number in the shard.
pub(super) type Place = (u32, u32);

/// A finding of the comparison on a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Note {
    /// An earlier sample has the same image.
    Identical(Place),
    /// An earlier sample has the same image and another label.
    Contradicting(Place),
    /// The sample has far more or far fewer bytes or pixels than most: `factor` times the median.
    Outlier { quantity: &'static str, value: u32, factor: f64 },
    /// The sample has no label, while others do.
    Unlabelled,
}

/// A shard whose neighbours are of one class more often than those of the mixed set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sorted {
    /// The share of neighbours that are of the same class.
    pub(super) share: f64,
    /// The share that mixed samples of the set would have.
    pub(super) mixed: f64,
}

impl fmt::Display for Sorted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (share, mixed) = (100.0 * self.share, 100.0 * self.mixed);
        write!(f, "{share:.1} % of neighbours are of one class; in a mixed set it would be {mixed:.1} %")
    }
}

/// All findings of the comparison.
#[derive(Debug)]
pub(super) struct Notes {
    /// The findings on samples, in order of their places.
    pub(super) samples: Vec<(Place, Note)>,
    /// The number of keys that samples of several shards have.
    pub(super) shared_keys: u64,
    /// For each shard, whether and how much it is sorted.
    pub(super) sorted: Vec<Option<Sorted>>,
}

impl Notes {
    /// Returns the findings on samples of one shard.
    pub(super) fn of_shard(&self, number: usize) -> &[(Place, Note)] {
        let first = |shard: usize| self.samples.partition_point(|((of, _), _)| (*of as usize) < shard);
        &self.samples[first(number)..first(number + 1)]
    }
}

/// Compares all kept samples with one another.
pub(super) fn compare(shards: &[Examined]) -> Notes {
    let mut samples = identical(shards);
    samples.extend(outliers(shards, "bytes", |sample| sample.bytes));
    samples.extend(outliers(shards, "pixels", |sample| sample.pixels));
    samples.extend(unlabelled(shards));
    samples.sort_by_key(|(place, _)| *place);
    Notes { samples, shared_keys: shared_keys(shards), sorted: sorted(shards) }
}

/// Iterates over the kept samples and their places, in order.
fn kept(shards: &[Examined]) -> impl Iterator<Item = (Place, &Sample)> {
    let of_shard = |(shard, examined): (usize, _)| {
        Examined::kept(examined).map(move |(number, sample)| ((shard as u32, number as u32), sample))
    };
    shards.iter().enumerate().flat_map(of_shard)
}

/// Returns the places of kept samples that share a hash, in order, for each hash that several have.
fn groups(shards: &[Examined], hash: impl Fn(&Sample) -> u128) -> Vec<Vec<Place>> {
    let mut all: Vec<_> = kept(shards).map(|(place, sample)| (hash(sample), place)).collect();
    all.sort_unstable();
    let same = all.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
    same.map(|group| group.iter().map(|(_, place)| *place).collect()).collect()
}

/// Returns the number of keys that samples of several shards have, as in sets whose shards each count from 0.
fn shared_keys(shards: &[Examined]) -> u64 {
    let is_shared = |group: &&Vec<Place>| group.iter().any(|(shard, _)| *shard != group[0].0);
    groups(shards, |sample| sample.key).iter().filter(is_shared).count() as u64
}

fn identical(shards: &[Examined]) -> Vec<(Place, Note)> {
    let label = |(shard, number): Place| shards[shard as usize].samples[number as usize].label;
    let mut notes = Vec::new();
    for group in groups(shards, |sample| sample.image) {
        let labelled = group.iter().copied().find(|&place| label(place).is_some());
        for &place in &group[1..] {
            let other = labelled.filter(|&other| label(place).is_some() && label(place) != label(other));
            notes.push((place, other.map_or(Note::Identical(group[0]), Note::Contradicting)));
        }
    }
    notes
}

fn outliers(shards: &[Examined], quantity: &'static str, of: impl Fn(&Sample) -> u32) -> Vec<(Place, Note)> {
    let mut logs: Vec<f64> = kept(shards).map(|(_, sample)| f64::from(of(sample)).ln()).collect();
    let Some(middle) = median(&mut logs) else { return Vec::new() };
    for log in &mut logs {
        *log = (*log - middle).abs();
    }
    // The median deviation of a normal distribution is 1/1.4826 of its standard deviation.
    let deviation = 1.4826 * median(&mut logs).unwrap_or(0.0);
    let limit = (DEVIATIONS * deviation).max(FACTOR.ln());
    let note = |(place, sample): (Place, &Sample)| {
        let value = of(sample);
        let distance = f64::from(value).ln() - middle;
        (distance.abs() > limit).then(|| (place, Note::Outlier { quantity, value, factor: distance.exp() }))
    };
    kept(shards).filter_map(note).collect()
}

/// Returns the middle value, of two the larger.
fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// Finds the samples without a label, if others have one; a label that is not used is another finding.
fn unlabelled(shards: &[Examined]) -> Vec<(Place, Note)> {
    if kept(shards).all(|(_, sample)| sample.label.is_none()) {
        return Vec::new();
    }
    let without = kept(shards).filter(|(_, sample)| sample.label.is_none() && !sample.has_unread_label);
    without.map(|(place, _)| (place, Note::Unlabelled)).collect()
}

/// Finds the shards whose samples are sorted by class, wholly or in part.
///
/// Two samples drawn from the set are of one class with probability Σ p². So are neighbours in a shard of
/// mixed samples; in a shard of a single class, or of classes in runs, more of them are.
fn sorted(shards: &[Examined]) -> Vec<Option<Sorted>> {
    let chance = Chance::of(kept(shards).filter_map(|(_, sample)| sample.label));
    let judge = |shard: &Examined| {
        let labels: Vec<u32> = shard.kept().filter_map(|(_, sample)| sample.label).collect();
        is_sorted(&labels, &chance)
    };
    shards.iter().map(judge).collect()
}

/// The probabilities that two, and that three, samples of the set are of one class.
struct Chance {
    two: f64,
    three: f64,
}

impl Chance {
    fn of(labels: impl Iterator<Item = u32>) -> Self {
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        for label in labels {
            *counts.entry(label).or_default() += 1;
        }
        let all: u64 = counts.values().sum();
        let moment = |power| counts.values().map(|&n| (n as f64 / all as f64).powi(power)).sum();
        Self { two: moment(2), three: moment(3) }
    }
}

fn is_sorted(labels: &[u32], chance: &Chance) -> Option<Sorted> {
    if labels.len() < LABELLED {
        return None;
    }
    let pairs = (labels.len() - 1) as f64;
    let same = labels.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64;
    // Pairs that share a sample are dependent if classes differ in size.
    let (mixed, square) = (chance.two, chance.two * chance.two);
    let variance = pairs * (mixed - square) + 2.0 * (pairs - 1.0) * (chance.three - square);
    // The variance is increased by one, because counts of rare events are not normally distributed.
    let is_significant = same - pairs * mixed > SIGNIFICANT * (variance.max(0.0) + 1.0).sqrt();
    let share = same / pairs;
    (is_significant && share - mixed > EXCESS * (1.0 - mixed)).then_some(Sorted { share, mixed })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the shards of a set with these labels.
    fn judge(shards: &[Vec<u32>]) -> Vec<bool> {
        let chance = Chance::of(shards.iter().flatten().copied());
        shards.iter().map(|labels| is_sorted(labels, &chance).is_some()).collect()
    }

    /// Makes labels of `classes` classes, of which the first has the given share, in an arbitrary order.
    fn random(seed: u64, count: usize, classes: usize, first: f32) -> Vec<u32> {
        let mut random = crate::random::Random::new(&[seed]);
        let mut draw = |_| {
            if random.between(0.0, 1.0) < first { 0 } else { random.below(classes) as u32 }
        };
        (0..count).map(&mut draw).collect()
    }

    #[test]
    fn mixed_shards_are_not_reported_as_sorted() {
        for (classes, first) in [(2, 0.0), (2, 0.9), (10, 0.0), (10, 0.5), (1000, 0.0), (1, 0.0)] {
            for count in [10, 30, 1000] {
                let shards: Vec<_> = (0..100).map(|seed| random(seed, count, classes, first)).collect();
                assert!(!judge(&shards).contains(&true), "{classes} classes, {count} samples, {first}");
            }
        }
    }

    #[test]
    fn a_shard_of_one_class_of_few_classes_or_of_runs_is_reported_as_sorted() {
        let mixed = |seed| random(seed, 1000, 100, 0.0);
        let one = vec![7; 50];
        let few: Vec<_> = random(5, 1000, 10, 0.0);
        let runs: Vec<u32> = (0..1000).map(|number| number / 10).collect();
        assert_eq!(judge(&[mixed(1), one, few, runs, mixed(2)]), [false, true, true, true, false]);
    }
}
