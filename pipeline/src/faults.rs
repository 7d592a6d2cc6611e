//! Bad samples, and how many of them a run puts up with.

use std::{collections::HashSet, error::Error as _, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use shards::Sample;

use crate::{Error, Result};

/// A bad sample that the stream went on without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The shard.
    pub shard: Arc<str>,
    /// Byte at which the image's data begins.
    pub offset: u64,
    /// The sample.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Skipped {
    /// A sample whose image is no good.
    pub(crate) fn image(sample: &Sample, error: &Error) -> Self {
        let Sample { shard, offset, key, .. } = sample;
        let mut reason = error.to_string();
        if let Some(cause) = error.source() {
            reason = format!("{reason}: {cause}");
        }
        Self { shard: shard.clone(), offset: *offset, key: key.clone(), reason }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, offset, key, reason } = self;
        write!(f, "sample `{key}`, shard `{shard}` at byte {offset}, {reason}")
    }
}

/// How many bad samples a run puts up with. Written `1%`, `1% after 1000 samples` or `100`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultBudget {
    /// A share of all samples.
    Rate {
        /// The share, 0 to 1.
        share: f64,
        /// Samples that must have been seen before it is held against them.
        trial: u64,
    },
    /// A number of distinct samples.
    Count(u64),
}

impl Default for FaultBudget {
    fn default() -> Self {
        Self::Rate { share: 0.01, trial: 1_000 }
    }
}

impl FaultBudget {
    /// Whether `bad` among `seen` samples are too many.
    pub fn is_exceeded(self, bad: u64, seen: u64) -> bool {
        match self {
            Self::Rate { share, trial } => seen >= trial && bad as f64 > share * seen as f64,
            Self::Count(most) => bad > most,
        }
    }
}

impl fmt::Display for FaultBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { share, trial } => {
                // To a millionth: 7 % is not quite 100 · 0.07.
                let percent = (share * 100.0 * 1e6).round() / 1e6;
                write!(f, "{percent}% after {trial} samples")
            }
            Self::Count(most) => write!(f, "{most}"),
        }
    }
}

impl FromStr for FaultBudget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hint = "a share such as `1%` or `1% after 1000 samples`, or a number of samples such as `100`";
        let wrong = || Error::Config(format!("`{text}` is no budget of bad samples\nhint: {hint}"));
        match text.split_once('%') {
            Some((percent, trial)) => rate(percent, trial).ok_or_else(wrong),
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

/// A share in percent with what follows the percent sign: nothing, or the length of the trial.
fn rate(percent: &str, trial: &str) -> Option<FaultBudget> {
    let percent: f64 = percent.parse().ok().filter(|percent| (0.0..=100.0).contains(percent))?;
    let trial = match trial {
        "" => 1_000,
        _ => trial.strip_prefix(" after ")?.strip_suffix(" samples")?.parse().ok()?,
    };
    Some(FaultBudget::Rate { share: percent / 100.0, trial })
}

/// Samples held against a budget, in order.
#[derive(Debug)]
pub(crate) struct Tally {
    budget: FaultBudget,
    seen: u64,
    bad: u64,
    /// The bad ones so far, where the budget is a number of samples: each counts once, however many epochs see it.
    distinct: HashSet<(Arc<str>, u64)>,
    last: Option<Skipped>,
}

impl Tally {
    pub(crate) fn new(budget: FaultBudget) -> Self {
        Self { budget, seen: 0, bad: 0, distinct: HashSet::new(), last: None }
    }

    pub(crate) fn good(&mut self) -> Result<()> {
        self.seen += 1;
        self.check()
    }

    pub(crate) fn bad(&mut self, skipped: Skipped) -> Result<()> {
        self.seen += 1;
        let is_new = match self.budget {
            FaultBudget::Rate { .. } => true,
            FaultBudget::Count(_) => self.distinct.insert((skipped.shard.clone(), skipped.offset)),
        };
        self.bad += u64::from(is_new);
        self.last = Some(skipped);
        self.check()
    }

    /// Good samples are checked too: with one of them the trial may end.
    fn check(&self) -> Result<()> {
        let Self { budget, seen, bad, .. } = *self;
        match &self.last {
            Some(last) if budget.is_exceeded(bad, seen) => {
                Err(Error::Faults { bad, seen, budget, last: last.clone() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_not_held_against_the_first_samples() {
        let budget = FaultBudget::default();
        assert!(!budget.is_exceeded(999, 999));
        assert!(!budget.is_exceeded(10, 1_000));
        assert!(budget.is_exceeded(11, 1_000));
    }

    #[test]
    fn a_count_allows_exactly_that_many() {
        let budget: FaultBudget = "3".parse().unwrap();
        assert!(!budget.is_exceeded(3, 3));
        assert!(budget.is_exceeded(4, 1_000_000));
    }

    #[test]
    fn a_budget_is_read_as_it_is_written() {
        assert_eq!("1%".parse::<FaultBudget>().unwrap(), FaultBudget::default());
        for text in ["2.5% after 50 samples", "7% after 1000 samples", "7"] {
            assert_eq!(text.parse::<FaultBudget>().unwrap().to_string(), text);
        }
        assert!("101%".parse::<FaultBudget>().is_err());
        assert!("1% or so".parse::<FaultBudget>().is_err());
        assert!("few".parse::<FaultBudget>().unwrap_err().to_string().contains("`1%`"));
    }

    #[test]
    fn a_number_counts_a_sample_once_however_often_it_comes() {
        let mut tally = Tally::new(FaultBudget::Count(1));
        let bad = |offset| Skipped { shard: "x".into(), offset, key: "k".into(), reason: "r".into() };
        for _ in 0..5 {
            tally.bad(bad(512)).unwrap();
        }
        assert!(tally.bad(bad(1024)).is_err());
    }
}
