//! One check and its outcome.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

use anyhow::Result;
use serde_json::{Value, json};
use tch::Device;

/// A named comparison.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// Returns the figures of a comparison that holds, or the error of one that does not.
    pub(crate) run: fn(Device) -> Result<Value>,
}

/// The outcome of a check.
pub(crate) struct Outcome {
    pub(crate) passed: bool,
    /// The line of JSON to print.
    pub(crate) line: Value,
}

impl Check {
    /// Runs the comparison. An error, an exception of libtorch and a panic all count as failures.
    pub(crate) fn run(&self, device: Device) -> Outcome {
        let start = Instant::now();
        let result = panic::catch_unwind(AssertUnwindSafe(|| torchkit::caught(|| (self.run)(device))));
        let (passed, found) = match result {
            Ok(Ok(Ok(figures))) => (true, figures),
            Ok(Ok(Err(error))) => (false, json!(format!("{error:#}"))),
            Ok(Err(failure)) => (false, json!(failure.to_string())),
            Err(panic) => (false, json!(message(&*panic))),
        };
        let seconds = start.elapsed().as_secs_f64();
        Outcome {
            passed,
            line: json!({"check": self.name, "passed": passed, "found": found, "seconds": seconds}),
        }
    }
}

/// Returns the message of a panic.
fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
