//! Files and folders that the system refuses.

use std::{io, path::PathBuf};

use crate::hint::FileHint;

/// The system refused to do something with a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} `{}`", .path.display().to_string().escape_debug())]
#[non_exhaustive]
pub struct FileError {
    /// What was attempted, e.g. "list the folder".
    pub attempt: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
    hint: FileHint,
}

impl FileError {
    /// What makes the error of an attempt to read.
    pub(crate) fn reading(attempt: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { attempt, path: path.into(), source, hint: FileHint::MakeReadable }
    }

    /// What makes the error of an attempt to write, make or remove.
    pub(crate) fn writing(attempt: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { attempt, path: path.into(), source, hint: FileHint::MakeWritable }
    }

    /// What can be done about it.
    pub fn hint(&self) -> FileHint {
        self.hint
    }
}
