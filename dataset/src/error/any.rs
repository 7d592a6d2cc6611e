//! The error of the crate.

use super::{ClassError, FileError, FolderError, OutputError, SizeError, SourceError, VerifyError};
use crate::hint::Hint;

/// The result of work on datasets.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of making or checking datasets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Class names that cannot be used.
    #[error(transparent)]
    Classes(#[from] ClassError),
    /// A folder that must not be written to.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A source of images that cannot be packed as it is.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Shards that cannot be written as requested.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A size that synthetic images cannot have.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// A set that cannot be verified, or cleaned shards that cannot be written.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A file or folder that the system refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// Threads that the system does not start.
    #[error("cannot start the threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// Shards that cannot be read or written.
    #[error(transparent)]
    Shards(#[from] shards::Error),
    /// An image that cannot be encoded.
    #[error(transparent)]
    Pipeline(#[from] pipeline::Error),
}

impl Error {
    /// Returns the cure, if the message does not say everything.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Classes(error) => Some(Hint::Classes(error.hint())),
            Self::Folder(error) => Some(Hint::Output(error.hint())),
            Self::File(error) | Self::Source(SourceError::File(error)) => Some(Hint::File(error.hint())),
            Self::Source(error) => error.hint().map(Hint::Source),
            Self::Output(error) => Some(Hint::Output(error.hint())),
            Self::Verify(error) => Some(Hint::Verify(error.hint())),
            Self::Size(_) | Self::Threads(_) | Self::Shards(_) | Self::Pipeline(_) => None,
        }
    }

    /// Returns whether the request is at fault, so that another path or number cures it.
    pub fn is_misuse(&self) -> bool {
        match self {
            Self::Folder(_) => true,
            Self::Classes(error) => error.is_misuse(),
            Self::Output(error) => error.is_misuse(),
            Self::Verify(error) => error.is_misuse(),
            _ => false,
        }
    }
}
