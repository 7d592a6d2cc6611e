//! All errors of the crate.

use super::{ClassError, FileError, FolderError, OutputError, SizeError, SourceError, VerifyError};
use crate::hint::Hint;

/// The result of work on datasets.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in making and checking datasets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Class names cannot be used.
    #[error(transparent)]
    Classes(#[from] ClassError),
    /// A folder is not to be written into.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A source of images cannot be packed as it is.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Shards cannot be written as asked.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Synthetic images cannot have the size that was asked for.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// A set cannot be verified, or its cleaned shards not be written.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The system refuses a file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system gives no more threads.
    #[error("cannot start the threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// Shards cannot be read or written.
    #[error(transparent)]
    Shards(#[from] shards::Error),
    /// An image cannot be encoded.
    #[error(transparent)]
    Pipeline(#[from] pipeline::Error),
}

impl Error {
    /// What can be done about it; none where the message says all there is to know.
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

    /// Whether the request is at fault, so that another path or number cures it at once.
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
