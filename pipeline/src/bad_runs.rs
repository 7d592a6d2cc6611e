//! Runs of bad samples that follow each other in the order.

use std::collections::BTreeMap;

use shards::{Place, Position};

use crate::BadSample;

/// The most runs that are remembered. Runs that the stream has passed are not needed.
const LIMIT: usize = 1024;

/// The bad samples that were found last, in runs of successive places of a partition. Workers share them, so
/// that they skip a run instead of decoding it once for each of its places.
#[derive(Debug, Default)]
pub(crate) struct BadRuns {
    /// Runs by their first place.
    runs: BTreeMap<Place, Run>,
}

/// A run of bad samples.
#[derive(Debug)]
struct Run {
    /// The place after the last one.
    end: Place,
    samples: Vec<(Place, BadSample)>,
}

impl Run {
    /// Returns the samples from a place on.
    fn from(&self, place: Place) -> &[(Place, BadSample)] {
        &self.samples[self.samples.partition_point(|(of_sample, _)| *of_sample < place)..]
    }
}

impl BadRuns {
    /// Adds the bad sample at a place; `after` is the place after it.
    pub(crate) fn add(&mut self, place: Place, after: Place, sample: BadSample) {
        if self.find(place).is_some() {
            return;
        }
        let before = self.runs.range(..place).next_back().filter(|(_, run)| run.end == place);
        let start = before.map_or(place, |(&start, _)| start);
        let next = self.runs.remove(&after);
        let run = self.runs.entry(start).or_insert_with(|| Run { end: place, samples: Vec::new() });
        run.samples.push((place, sample));
        run.end = after;
        if let Some(next) = next {
            run.samples.extend(next.samples);
            run.end = next.end;
        }
        if self.runs.len() > LIMIT {
            self.forget_first(place.partition);
        }
    }

    /// Returns the place after the run that has `place`, and the number of bad samples between them.
    pub(crate) fn skip(&self, place: Place) -> Option<(Place, u64)> {
        self.find(place).map(|run| (run.end, run.from(place).len() as u64))
    }

    /// Returns the bad samples of a run from a place on.
    pub(crate) fn from(&self, place: Place) -> Vec<BadSample> {
        let samples = self.find(place).map_or(&[][..], |run| run.from(place));
        samples.iter().map(|(_, sample)| sample.clone()).collect()
    }

    /// Returns the run that has a place.
    fn find(&self, place: Place) -> Option<&Run> {
        // Places of other partitions are all before or all after those of this one.
        self.runs.range(..=place).next_back().map(|(_, run)| run).filter(|run| place < run.end)
    }

    /// Removes the first run of a partition.
    fn forget_first(&mut self, partition: u64) {
        let begin = Place { partition, position: Position::default() };
        if let Some(&start) = self.runs.range(begin..).next().map(|(start, _)| start) {
            self.runs.remove(&start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: u64, offset: u64) -> Place {
        Place { partition, position: Position { epoch: 0, offset } }
    }

    fn bad(offset: u64) -> BadSample {
        BadSample { shard: "x".into(), offset, key: offset.to_string(), reason: "is bad".to_owned() }
    }

    /// Returns runs with bad samples at these places of partition 1, added in this order.
    fn runs(places: &[u64]) -> BadRuns {
        let mut runs = BadRuns::default();
        for &at in places {
            runs.add(place(1, at), place(1, at + 1), bad(at));
        }
        runs
    }

    #[test]
    fn places_that_follow_each_other_are_one_run_in_whatever_order_they_are_found() {
        for found in [[3, 4, 5, 6], [6, 5, 4, 3], [3, 5, 6, 4], [4, 3, 6, 5], [5, 3, 4, 6]] {
            let runs = runs(&found);
            assert_eq!(runs.runs.len(), 1, "{found:?}");
            assert_eq!(runs.skip(place(1, 3)), Some((place(1, 7), 4)));
            assert_eq!(runs.skip(place(1, 5)), Some((place(1, 7), 2)));
            let offsets: Vec<u64> = runs.from(place(1, 4)).iter().map(|sample| sample.offset).collect();
            assert_eq!(offsets, [4, 5, 6]);
            for outside in [place(1, 2), place(1, 7), place(0, 4), place(2, 4)] {
                assert!(runs.skip(outside).is_none() && runs.from(outside).is_empty(), "{outside:?}");
            }
        }
    }

    #[test]
    fn a_place_found_twice_counts_once() {
        let runs = runs(&[3, 4, 3, 4]);
        assert_eq!(runs.skip(place(1, 3)), Some((place(1, 5), 2)));
    }

    #[test]
    fn the_first_runs_are_forgotten_when_there_are_too_many() {
        let places: Vec<u64> = (0..LIMIT as u64 + 2).map(|number| 2 * number).collect();
        let runs = runs(&places);
        assert_eq!(runs.runs.len(), LIMIT);
        assert!(runs.skip(place(1, 2)).is_none() && runs.skip(place(1, 4)).is_some());
    }
}
