//! Attaches hints and exit codes to errors of any type.

use std::path::Path;

use super::{error::Hinted, storage};
use crate::exit::Code;

/// Adds hints and an exit code to the error of a result. The message and the causes do not change.
pub trait WithHint<T> {
    /// Adds a hint, in the imperative and without "hint:".
    fn with_hint<S: Into<String>>(self, hint: impl FnOnce() -> S) -> anyhow::Result<T>;

    /// Adds the hint for a file that cannot be written, by the system's reason in the chain.
    fn with_write_hint(self) -> anyhow::Result<T>;

    /// Adds the context that the file at `path` cannot be written, and the hint for it.
    fn or_cannot_write(self, path: &Path) -> anyhow::Result<T>;

    /// Sets the exit code that the error ends the program with.
    fn with_code(self, code: Code) -> anyhow::Result<T>;

    /// Sets the exit code of an error about a path that the user named: [`Code::Usage`] if another path would
    /// not have failed, as with missing permissions, and [`Code::Failed`] if the same path may work later, as
    /// with a broken disk.
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
            let code = if storage::is_wrong_place(&error) { Code::Usage } else { Code::Failed };
            hinted(error, Vec::new(), Some(code))
        })
    }
}

/// Returns the error with one more hint.
pub fn add(error: impl Into<anyhow::Error>, hint: String) -> anyhow::Error {
    hinted(error.into(), vec![hint], None)
}

fn hinted(error: anyhow::Error, hints: Vec<String>, code: Option<Code>) -> anyhow::Error {
    anyhow::Error::new(Hinted { error, hints, code })
}
