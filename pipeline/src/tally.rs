//! The count of bad samples against the budget.

use std::{collections::HashSet, sync::Arc};

use crate::{BadSample, BadSampleBudget, Error, Result};

/// The samples counted so far against a budget.
#[derive(Debug)]
pub(crate) struct Tally {
    budget: BadSampleBudget,
    seen: u64,
    bad: u64,
    /// Shard and offset of the bad samples so far, if the budget is a number: each counts once, however many
    /// epochs read it.
    distinct: HashSet<(Arc<str>, u64)>,
    last: Option<BadSample>,
}

impl Tally {
    pub(crate) fn new(budget: BadSampleBudget) -> Self {
        Self { budget, seen: 0, bad: 0, distinct: HashSet::new(), last: None }
    }

    pub(crate) fn good(&mut self) -> Result<()> {
        self.seen += 1;
        self.check()
    }

    pub(crate) fn bad(&mut self, sample: BadSample) -> Result<()> {
        self.seen += 1;
        let is_new = match self.budget {
            BadSampleBudget::Rate { .. } => true,
            BadSampleBudget::Count(_) => self.distinct.insert((sample.shard.clone(), sample.offset)),
        };
        self.bad += u64::from(is_new);
        self.last = Some(sample);
        self.check()
    }

    /// Checks the budget. Good samples are checked too: the trial may end with one.
    fn check(&self) -> Result<()> {
        let Self { budget, seen, bad, .. } = *self;
        match &self.last {
            Some(last) if budget.is_exceeded(bad, seen) => {
                Err(Error::TooManyBad { bad, seen, budget, last: last.clone() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_samples_counts_a_sample_once_however_often_it_comes() {
        let mut tally = Tally::new(BadSampleBudget::Count(1));
        let bad = |offset| BadSample { shard: "x".into(), offset, key: "k".into(), reason: "r".into() };
        for _ in 0..5 {
            tally.bad(bad(512)).unwrap();
        }
        assert!(tally.bad(bad(1024)).is_err());
    }
}
