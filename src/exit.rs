//! How the program ends: its exit codes, and errors that end it with one of their own.

use std::{
    fmt,
    io::{self, ErrorKind},
    panic::{self, AssertUnwindSafe},
};

use anyhow::bail;
use rustix::io::Errno;

/// Exit codes. They are documented in the README and stay what they are.
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
    /// The code that an error ends the program with.
    pub fn of(error: &anyhow::Error) -> Self {
        error.downcast_ref::<Coded>().map_or(Self::Failed, |coded| coded.code)
    }

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

/// An error with an exit code of its own.
#[derive(Debug)]
pub struct Coded {
    code: Code,
    message: String,
}

impl Coded {
    /// An error that ends the program with `code`; on further lines of `message` its hints.
    pub fn error(code: Code, message: String) -> anyhow::Error {
        anyhow::Error::new(Self { code, message })
    }

    /// An error of a place that was named: with [`Code::Usage`] where another one is to be named, and with [`Code::Failed`]
    /// where it may well be of use later, as after trouble with a disk.
    pub fn io(error: &io::Error, message: String) -> anyhow::Error {
        let is_of_the_place = matches!(
            error.kind(),
            ErrorKind::PermissionDenied
                | ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::IsADirectory
                | ErrorKind::AlreadyExists
                | ErrorKind::ReadOnlyFilesystem
        );
        Self::error(if is_of_the_place { Code::Usage } else { Code::Failed }, message)
    }
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Coded {}

/// An error that ends the program with [`Code::Usage`], from a format string.
#[macro_export]
macro_rules! usage {
    ($($arg:tt)*) => { $crate::exit::Coded::error($crate::exit::Code::Usage, format!($($arg)*)) };
}

/// Does work in which a panic, of which the hook has told, is a failure like others: with their exit code, and in the summary.
///
/// # Errors
///
/// Those of the work, and a panic.
pub fn catching<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|_| {
        bail!("a defect of the program has ended it\n  hint: report what is said of it above")
    })
}

/// The causes of an error on one line, then its hints.
pub fn render(error: &anyhow::Error) -> String {
    let (cause, hints) = parts(error);
    [vec![cause], hints].concat().join("\n  ")
}

/// The causes of an error as one line, and its hints.
pub fn parts(error: &anyhow::Error) -> (String, Vec<String>) {
    let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
    let (mut causes, mut hints) = (Vec::new(), Vec::new());
    for message in &chain {
        let (cures, cause): (Vec<_>, Vec<_>) =
            message.lines().map(str::trim).partition(|line| line.starts_with("hint:"));
        let cause = cause.join(" ");
        if !causes.last().is_some_and(|last: &String| last.ends_with(&cause)) {
            causes.push(cause);
        }
        hints.extend(cures.into_iter().map(str::to_owned));
    }
    let cause = causes.join(": ");
    let is_told = hints.iter().any(|hint| hint.contains("space") || hint.contains("room"));
    if is_full(&cause) && !is_told {
        hints.push("hint: free some space on that disk, or write to another one".to_owned());
    }
    (cause, hints)
}

/// Whether a disk, or what a user may have of it, is full: libraries hand the system's words on, rather than its error.
fn is_full(cause: &str) -> bool {
    [Errno::NOSPC, Errno::DQUOT]
        .iter()
        .any(|error| cause.contains(&format!("(os error {})", error.raw_os_error())))
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn the_code_is_found_below_what_was_added_to_the_error() {
        let error = Err::<(), _>(Coded::error(Code::Locked, "taken\n  hint: wait".to_owned()));
        let error = error.context("while it was opened").unwrap_err();
        assert_eq!(Code::of(&error), Code::Locked);
        assert_eq!(render(&error), "while it was opened: taken\n  hint: wait");
        assert_eq!(Code::of(&anyhow!("else")), Code::Failed);
    }

    #[test]
    fn a_full_disk_has_a_cure_whoever_finds_it() {
        let full = || std::io::Error::from_raw_os_error(28);
        assert_eq!(parts(&anyhow!(full())).1.len(), 1);
        assert!(parts(&anyhow!("a library says: {}", full())).1[0].contains("free some space"));
        assert_eq!(
            parts(&anyhow!(full()).context("x\n  hint: see to space there")).1,
            ["hint: see to space there"]
        );
        assert!(parts(&anyhow!(std::io::Error::from_raw_os_error(5))).1.is_empty());
    }

    #[test]
    fn a_panic_is_a_failure() {
        let error = catching::<()>(|| panic!("as by a defect")).unwrap_err();
        assert_eq!(Code::of(&error), Code::Failed);
        assert_eq!(parts(&error).1.len(), 1);
        assert_eq!(catching(|| Ok(7)).unwrap(), 7);
    }
}
