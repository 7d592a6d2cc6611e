//! The budget of bad samples.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Hint;

/// The number of bad samples that a run tolerates. Written `1%`, `1% after 1000 samples` or `100`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BadSampleBudget {
    /// A share of all samples.
    Rate {
        /// The share, 0 to 1.
        share: f64,
        /// The number of samples after which the share is first checked.
        trial: u64,
    },
    /// A number of distinct samples.
    Count(u64),
}

impl Default for BadSampleBudget {
    fn default() -> Self {
        Self::Rate { share: 0.01, trial: 1_000 }
    }
}

impl BadSampleBudget {
    /// Returns whether `bad` samples among `seen` are too many.
    pub fn is_exceeded(self, bad: u64, seen: u64) -> bool {
        match self {
            Self::Rate { share, trial } => seen >= trial && bad as f64 > share * seen as f64,
            Self::Count(most) => bad > most,
        }
    }
}

impl fmt::Display for BadSampleBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { share, trial } => {
                // Rounded to a millionth: 7 % is not exactly 100 · 0.07.
                let percent = (share * 100.0 * 1e6).round() / 1e6;
                write!(f, "{percent}% after {trial} samples")
            }
            Self::Count(most) => write!(f, "{most}"),
        }
    }
}

/// The error of a text that is not a budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid budget of bad samples `{text}`")]
pub struct BudgetError {
    /// The text.
    pub text: String,
}

impl BudgetError {
    /// Returns the cure.
    pub fn hint(&self) -> Hint {
        Hint::Budget
    }
}

impl FromStr for BadSampleBudget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        let wrong = || BudgetError { text: text.to_owned() };
        match text.split_once('%') {
            Some((percent, trial)) => rate(percent, trial).ok_or_else(wrong),
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

/// Parses a share in percent, and the text after the percent sign: nothing, or the length of the trial.
fn rate(percent: &str, trial: &str) -> Option<BadSampleBudget> {
    let percent: f64 = percent.parse().ok().filter(|percent| (0.0..=100.0).contains(percent))?;
    let trial = match trial {
        "" => 1_000,
        _ => trial.strip_prefix(" after ")?.strip_suffix(" samples")?.parse().ok()?,
    };
    Some(BadSampleBudget::Rate { share: percent / 100.0, trial })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_not_checked_on_the_first_samples() {
        let budget = BadSampleBudget::default();
        assert!(!budget.is_exceeded(999, 999));
        assert!(!budget.is_exceeded(10, 1_000));
        assert!(budget.is_exceeded(11, 1_000));
    }

    #[test]
    fn a_count_allows_exactly_that_many() {
        let budget: BadSampleBudget = "3".parse().unwrap();
        assert!(!budget.is_exceeded(3, 3));
        assert!(budget.is_exceeded(4, 1_000_000));
    }

    #[test]
    fn a_budget_is_parsed_as_it_is_displayed() {
        assert_eq!("1%".parse::<BadSampleBudget>().unwrap(), BadSampleBudget::default());
        for text in ["2.5% after 50 samples", "7% after 1000 samples", "7"] {
            assert_eq!(text.parse::<BadSampleBudget>().unwrap().to_string(), text);
        }
        assert!("101%".parse::<BadSampleBudget>().is_err());
        assert!("1% or so".parse::<BadSampleBudget>().is_err());
        assert_eq!("few".parse::<BadSampleBudget>().unwrap_err().hint(), Hint::Budget);
    }
}
