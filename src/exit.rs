//! How the program ends: its exit codes, and what becomes of a panic.

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
};

/// Exit codes. They are documented in `docs/reference/exit-codes.md` and stay what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// What was asked for is done, or there was nothing to do.
    Done = 0,
    /// It could not be done.
    Failed = 1,
    /// What was asked for cannot be meant: the command line is to be mended.
    Usage = 2,
    /// There was nothing to do, and `--exit-code-unchanged` asked to be told so.
    Unchanged = 3,
    /// Another process is at work in the run folder.
    Locked = 4,
    /// The run is finished, but did not pass its gate: nothing was promoted.
    Gate = 5,
    /// A signal, or the end of the time that there was, ended the run early; it is saved.
    Interrupted = 130,
}

impl Code {
    /// What `--summary` calls it.
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

/// A panic, which is a defect of the program. Its message and place are on stderr.
#[derive(Debug, Clone, Copy)]
pub struct Defect;

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the program ended by a defect of its own")
    }
}

impl std::error::Error for Defect {}

/// Does work in which a panic, of which the hook has told, is a failure like others: with their exit code, and in the summary.
///
/// # Errors
///
/// Those of the work, and a panic.
pub fn catching<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Defect.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure() {
        let error = catching::<()>(|| panic!("as by a defect")).unwrap_err();
        assert!(error.is::<Defect>());
        assert_eq!(catching(|| Ok(7)).unwrap(), 7);
    }
}
