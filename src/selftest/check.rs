//! One check and its result.

use std::{
    any::Any,
    fmt,
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Value, json};
use tch::Device;

use super::{cure::Cure, golden::Cases};

/// What the checks are made with.
#[derive(Debug)]
pub struct Options {
    /// The device to check.
    pub device: Device,
    /// Whether to make the slow checks, too, and the others with larger shapes and more repetitions.
    pub is_full: bool,
    /// The golden tensors to compare with.
    pub cases: Cases,
}

/// What a check found where it did not fail.
pub(super) enum Found {
    /// The figures of a comparison that holds.
    Figures(Value),
    /// Why there is nothing to check.
    Skipped(&'static str),
}

/// Returns what it found, or the error of a comparison that does not hold.
type Comparison = dyn Fn(&Options) -> Result<Found>;

/// A named comparison.
pub struct Check {
    /// The name.
    pub name: String,
    cure: Cure,
    run: Box<Comparison>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).field("cure", &self.cure).finish_non_exhaustive()
    }
}

/// Whether a check holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The comparison holds.
    Ok,
    /// There is nothing to check on this device.
    Skipped,
    /// The comparison does not hold, or failed with an error or a panic.
    Bad,
}

impl State {
    /// Returns the name in the JSON output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Bad => "bad",
        }
    }
}

/// The result of a check.
#[derive(Debug)]
pub struct Outcome {
    /// Whether it holds.
    pub state: State,
    /// Figures of a comparison that holds, `null` if it has none; else the reason.
    pub found: Value,
    /// What to do, of a failed check.
    pub hint: Option<String>,
    /// The flags of a run that avoid what failed, if there are any.
    pub flags: Option<&'static str>,
    /// The time that it took.
    pub took: Duration,
}

impl Check {
    /// Makes a check. `run` returns an error if the comparison does not hold; `cure` is the answer to that.
    pub(super) fn new(
        name: impl Into<String>,
        cure: Cure,
        run: impl Fn(&Options) -> Result<Found> + 'static,
    ) -> Self {
        Self { name: name.into(), cure, run: Box::new(run) }
    }

    /// Runs the comparison. An error, an exception of libtorch and a panic all count as failures.
    pub fn outcome(&self, options: &Options) -> Outcome {
        let start = Instant::now();
        let result = panic::catch_unwind(AssertUnwindSafe(|| torchkit::caught(|| (self.run)(options))));
        let (state, found) = match result {
            Ok(Ok(Ok(Found::Figures(figures)))) => (State::Ok, figures),
            Ok(Ok(Ok(Found::Skipped(reason)))) => (State::Skipped, json!(reason)),
            Ok(Ok(Err(error))) => (State::Bad, json!(format!("{error:#}"))),
            Ok(Err(failure)) => (State::Bad, json!(failure.to_string())),
            Err(panic) => (State::Bad, json!(message(&*panic))),
        };
        let is_bad = state == State::Bad;
        Outcome {
            state,
            found,
            hint: is_bad.then(|| self.cure.hint(options.device)),
            flags: self.cure.flags(options.device).filter(|_| is_bad),
            took: start.elapsed(),
        }
    }
}

/// Returns the largest of some differences; NaN if one of them is, so that it is within no bound.
pub(super) fn largest(differences: impl IntoIterator<Item = f64>) -> f64 {
    differences.into_iter().fold(0.0, |most, off| if most.is_nan() || most > off { most } else { off })
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(run: impl Fn(&Options) -> Result<Found> + 'static) -> Outcome {
        let options = Options { device: Device::Cpu, is_full: false, cases: Cases::Embedded };
        Check::new("a check", Cure::Graph, run).outcome(&options)
    }

    #[test]
    fn an_error_a_panic_and_an_exception_of_libtorch_fail_the_check_alone() {
        let wrong_shapes = |_: &Options| {
            let _ =
                tch::Tensor::zeros([2, 3], (tch::Kind::Float, Device::Cpu)).matmul(&tch::Tensor::from(1.0));
            Ok(Found::Skipped(""))
        };
        let outcomes = [
            (outcome(|_| anyhow::bail!("off by 2")), "off by 2"),
            (outcome(|_| panic!("off by 3")), "off by 3"),
            (outcome(wrong_shapes), "matmul"),
        ];
        for (outcome, part) in outcomes {
            assert_eq!(outcome.state, State::Bad);
            assert!(outcome.found.as_str().unwrap().contains(part), "{outcome:?}");
            assert_eq!(outcome.flags, Some("--cuda-graph off"));
            assert!(outcome.hint.unwrap().contains("--cuda-graph off"));
        }
    }

    #[test]
    fn a_difference_that_is_not_a_number_is_the_largest() {
        assert_eq!(largest([1.0, 3.0, 2.0]).to_bits(), 3f64.to_bits());
        assert!(largest([1.0, f64::NAN, 2.0]).is_nan());
    }

    #[test]
    fn only_a_failed_check_has_a_hint() {
        for found in [|| Found::Figures(json!({"off": 0.0})), || Found::Skipped("no GPU")] {
            let outcome = outcome(move |_| Ok(found()));
            assert_ne!(outcome.state, State::Bad);
            assert_eq!((outcome.hint, outcome.flags), (None, None));
        }
    }
}
