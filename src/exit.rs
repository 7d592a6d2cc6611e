//! Exit codes, and panics as errors.

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
};

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
    fn a_panic_becomes_an_error() {
        let error = catching::<()>(|| panic!("a defect")).unwrap_err();
        assert!(error.is::<Defect>());
        assert_eq!(catching(|| Ok(7)).unwrap(), 7);
    }
}
