//! Errors of the system on files and folders.

use std::{io, path::PathBuf};

use crate::hint::FileHint;

/// A failed attempt on a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} `{}`", .path.display().to_string().escape_debug())]
#[non_exhaustive]
pub struct FileError {
    /// The attempt, e.g. "list the folder".
    pub attempt: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
    hint: FileHint,
}

impl FileError {
    /// Returns the function that makes the error of an attempt to read.
    pub(crate) fn reading(attempt: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { attempt, path: path.into(), source, hint: FileHint::MakeReadable }
    }

    /// Returns the function that makes the error of an attempt to write, create or remove.
    pub(crate) fn writing(attempt: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { attempt, path: path.into(), source, hint: FileHint::MakeWritable }
    }

    /// Returns the cure.
    pub fn hint(&self) -> FileHint {
        self.hint
    }
}
