//! Hints and exit codes for results of any error.

use std::path::Path;

use super::{error::Hinted, storage};
use crate::exit::Code;

/// Adds what the program knows to the error of a result. The message and the causes stay as they are.
pub trait WithHint<T> {
    /// Adds a hint, in the imperative and without "hint:".
    fn with_hint<S: Into<String>>(self, hint: impl FnOnce() -> S) -> anyhow::Result<T>;

    /// Adds what the user can do when a file cannot be written, by the reason that the system gave.
    fn with_write_hint(self) -> anyhow::Result<T>;

    /// Says that this file cannot be written, with that hint.
    fn or_cannot_write(self, path: &Path) -> anyhow::Result<T>;

    /// Ends the program with this code.
    fn with_code(self, code: Code) -> anyhow::Result<T>;

    /// Ends the program with [`Code::Usage`] where the place that the user named is wrong, and with [`Code::Failed`] where the same
    /// place may be of use later, as after trouble with a disk.
    fn with_code_of_place(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithHint<T> for Result<T, E> {
    fn with_hint<S: Into<String>>(self, hint: impl FnOnce() -> S) -> anyhow::Result<T> {
        self.map_err(|error| add(error, hint().into()))
    }

    fn with_write_hint(self) -> anyhow::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            let cure = storage::write_cure(&error).to_owned();
            add(error, cure)
        })
    }

    fn or_cannot_write(self, path: &Path) -> anyhow::Result<T> {
        let error = |error: E| error.into().context(format!("cannot write `{}`", path.display()));
        self.map_err(error).with_write_hint()
    }

    fn with_code(self, code: Code) -> anyhow::Result<T> {
        self.map_err(|error| hinted(error.into(), Vec::new(), Some(code)))
    }

    fn with_code_of_place(self) -> anyhow::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            let code = if storage::is_of_the_place(&error) { Code::Usage } else { Code::Failed };
            hinted(error, Vec::new(), Some(code))
        })
    }
}

/// An error with one more hint.
pub fn add(error: impl Into<anyhow::Error>, hint: String) -> anyhow::Error {
    hinted(error.into(), vec![hint], None)
}

fn hinted(error: anyhow::Error, hints: Vec<String>, code: Option<Code>) -> anyhow::Error {
    anyhow::Error::new(Hinted { error, hints, code })
}
