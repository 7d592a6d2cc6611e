//! The search for a good sample that takes the place of a bad one.

use std::{
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crossbeam::channel::{Receiver, TryRecvError};
use shards::{Place, Replacements, Sample};

use crate::{BadSample, BadSampleBudget, bad_runs::BadRuns, outcome::Outcome};

/// Finds the samples that take the places of bad ones: the next good one of the same partition, wherever it
/// lies. It keeps its own place as well. So a bad sample shifts no other one, on any rank. The workers share
/// it.
#[derive(Debug)]
pub(crate) struct Replacer {
    replacements: Replacements,
    budget: BadSampleBudget,
    runs: Mutex<BadRuns>,
    /// Disconnects when the loader is dropped.
    hangup: Receiver<Infallible>,
}

impl Replacer {
    pub(crate) fn new(
        replacements: Replacements,
        budget: BadSampleBudget,
        hangup: Receiver<Infallible>,
    ) -> Self {
        Self { replacements, budget, runs: Mutex::default(), hangup }
    }

    /// Reads the sample at a place, for the batch of the stream's sample `number`.
    pub(crate) fn read(&self, place: Place, number: u64) -> shards::Result<Sample> {
        self.replacements.read(place, number)
    }

    /// Finds the sample that takes the place of `bad`, the stream's sample `number`. `judge` reads and renders
    /// the sample at a place.
    pub(crate) fn replace(
        &self,
        number: u64,
        bad: BadSample,
        mut judge: impl FnMut(Place) -> Outcome,
    ) -> Outcome {
        let own = self.replacements.place(number);
        let next = self.add(own, bad.clone());
        let (mut place, mut count) = (next, 1);
        while !self.is_hopeless(number, count) {
            let run = self.runs().skip(place);
            if let Some((end, more)) = run {
                (place, count) = (end, count + more);
                continue;
            }
            if self.hangup.try_recv() == Err(TryRecvError::Disconnected) {
                return Outcome::Bad(bad); // for nobody
            }
            match judge(place) {
                Outcome::Good(by) => return Outcome::Replaced { bad, by },
                Outcome::Bad(next) => (place, count) = (self.add(place, next), count + 1),
                other => return other,
            }
        }
        // A run may go on: other workers find its samples, too.
        let enough = (1..=count).find(|&count| self.is_hopeless(number, count)).unwrap_or(count);
        let mut others = self.runs().from(next);
        others.truncate(enough as usize - 1);
        Outcome::Hopeless { first: bad, others }
    }

    /// Returns whether the search ends when the stream's sample `number` and those that follow it, `count` in
    /// all, are bad: they exceed the budget even if all other samples are good, or no sample of an epoch is
    /// good. A budget that is first checked after more samples than that is given the chance to be exceeded.
    fn is_hopeless(&self, number: u64, count: u64) -> bool {
        let (bad, trial) = match self.budget {
            BadSampleBudget::Rate { trial, .. } => (count, trial),
            // Distinct samples count. They may have crossed the end of an epoch, after which each may come
            // again.
            BadSampleBudget::Count(_) => (count.div_ceil(2), 0),
        };
        let exceeds = |seen| self.budget.is_exceeded(bad, seen);
        let of_rank = number.saturating_add(count);
        let ranks = number.saturating_mul(self.replacements.ranks());
        let of_all = ranks.saturating_add(count.saturating_mul(self.replacements.partitions()));
        count >= self.replacements.epoch_length().max(trial) || exceeds(of_rank) && exceeds(of_all)
    }

    /// Remembers a bad sample, and returns the place after it.
    fn add(&self, place: Place, sample: BadSample) -> Place {
        let after = self.replacements.after(place);
        self.runs().add(place, after, sample);
        after
    }

    fn runs(&self) -> MutexGuard<'_, BadRuns> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
