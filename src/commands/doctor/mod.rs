//! `amdim-stream doctor`: looks over a machine before a run is left alone on it.

mod cgroup;
mod clock;
mod folder;
mod gpu;
mod host;

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{failure, stdout};
use torchkit::DeviceChoice;

/// What `doctor` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run folder to try, as a run's --out; nothing is left behind in it
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// auto, cpu, cuda or cuda:N, as a run's
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// A run works, but perhaps not as one would want it to.
    Warn,
    /// A run would fail, or not do what was asked for.
    Bad,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// What one check has found, and what cures it.
#[derive(Debug, PartialEq, Eq)]
struct Check {
    name: &'static str,
    state: State,
    found: String,
    cure: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), cure: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { name, state: State::Warn, found: found.into(), cure: Some(cure.into()) }
    }

    fn bad(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { name, state: State::Bad, found: found.into(), cure: Some(cure.into()) }
    }

    /// Says it in words, and prints it.
    fn tell(&self) -> Result<()> {
        let Self { name, state, found, cure } = self;
        let hint = cure.as_ref().map_or_else(String::new, |cure| format!("\n  hint: {cure}"));
        let line = format!("{name} {}: {found}{hint}", state.name());
        match state {
            State::Warn if stdout::is_json() => tracing::warn!("{line}"),
            State::Bad if stdout::is_json() => tracing::error!("{line}"),
            _ => stdout::say(&line)?,
        }
        stdout::print(&self.json())
    }

    fn json(&self) -> Value {
        json!({"check": self.name, "state": self.state.name(), "found": self.found, "hint": self.cure})
    }
}

/// Makes every check, and tells of each as it is made.
///
/// # Errors
/// If one is bad.
pub fn run(args: &Args) -> Result<()> {
    let (mut count, mut bad) = (0, Vec::new());
    let mut tell = |check: Check| -> Result<()> {
        count += 1;
        if check.state == State::Bad {
            bad.push(check.name);
        }
        check.tell()
    };
    let (device, gpu_checks) = gpu::checks(args.device);
    gpu_checks.into_iter().try_for_each(&mut tell)?;
    host::checks(device).into_iter().try_for_each(&mut tell)?;
    let (clock_ahead, folder_checks) = folder::checks(&args.out);
    folder_checks.into_iter().try_for_each(&mut tell)?;
    tell(clock::check(clock_ahead))?;
    if !bad.is_empty() {
        return Err(
            failure!("{} of {count} checks are bad: {}", bad.len(), bad.join(", "); "follow the hint of each above"),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_is_not_ok_says_what_cures_it() {
        let line = Check::bad("disk", "full", "make room").json();
        assert_eq!(line, json!({"check": "disk", "state": "bad", "found": "full", "hint": "make room"}));
        assert_eq!(Check::ok("disk", "empty").json()["hint"], Value::Null);
    }
}
