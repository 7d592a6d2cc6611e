//! Exit codes, and panics as errors.

use std::{
    fmt,
    io::{self, Write},
    panic::{self, AssertUnwindSafe},
};

use signal_hook::low_level;

/// An exit code. Its number is documented in `docs/reference/exit-codes.md` and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The command did its work, or there was nothing to do.
    Done = 0,
    /// The command failed.
    Failed = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// There was nothing to do, and `--exit-code-unchanged` is given.
    Unchanged = 3,
    /// Another process uses the run folder.
    Locked = 4,
    /// The run is finished, but did not pass its gate. Nothing was promoted.
    Gate = 5,
    /// A signal or the time limit ended the run early, after it was saved.
    Interrupted = 130,
}

impl Code {
    const ALL: [Self; 7] =
        [Self::Done, Self::Failed, Self::Usage, Self::Unchanged, Self::Locked, Self::Gate, Self::Interrupted];

    /// Returns the code with this number.
    pub fn of(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as i32 == number)
    }

    /// Returns the code for torchrun, which takes every other code than 0 for a failure and starts failed processes
    /// again: 0 for an orderly end.
    #[must_use]
    pub fn for_torchrun(self) -> Self {
        match self {
            Self::Done | Self::Unchanged | Self::Gate | Self::Interrupted => Self::Done,
            Self::Failed | Self::Usage | Self::Locked => self,
        }
    }

    /// Returns the name of the code in the file of `--summary`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Unchanged => "unchanged",
            Self::Locked => "locked",
            Self::Gate => "gate",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Ends the process without waiting for its threads: some may wait for processes that have ended.
pub fn at_once(code: Code) -> ! {
    // Nobody is left to be told of a failure.
    let _ = (io::stdout().flush(), io::stderr().flush());
    low_level::exit(code as i32);
}

/// A panic as an error. The panic hook has printed its message and place on stderr.
#[derive(Debug, Clone, Copy)]
pub struct Defect;

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the program panicked, which is a bug")
    }
}

impl std::error::Error for Defect {}

/// Runs `work` and turns a panic into the error [`Defect`], so that the program ends with an exit code and a
/// summary.
///
/// # Errors
///
/// If `work` fails or panics.
pub fn catching<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Defect.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torchrun_is_told_of_failures_only() {
        let codes = Code::ALL.map(|code| (code as i32, code.for_torchrun() as i32));
        assert_eq!(codes, [(0, 0), (1, 1), (2, 2), (3, 0), (4, 4), (5, 0), (130, 0)]);
        assert!(Code::ALL.iter().all(|code| Code::of(*code as i32) == Some(*code)) && Code::of(7).is_none());
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let error = catching::<()>(|| panic!("a defect")).unwrap_err();
        assert!(error.is::<Defect>());
        assert_eq!(catching(|| Ok(7)).unwrap(), 7);
    }
}
