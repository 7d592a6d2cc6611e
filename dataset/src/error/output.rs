//! Errors of output.

use std::path::PathBuf;

use crate::hint::OutputHint;

/// The reason why shards cannot be written as requested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// Shards of this prefix in the folder.
    #[error("`{path}` exists already")]
    Exists {
        /// The path of the first one.
        path: PathBuf,
        /// The number of them.
        shards: usize,
    },
    /// A prefix with which a file's name cannot begin.
    #[error("the prefix `{prefix}` cannot begin the name of a file")]
    Prefix {
        /// The prefix.
        prefix: String,
    },
    /// A prefix that training and validation shards would share.
    #[error("training and validation shards would both be called `{prefix}`")]
    SamePrefix {
        /// The prefix of both.
        prefix: String,
    },
    /// A source of which no sample can be held out for validation.
    #[error("there is nothing to validate on: no class has two images")]
    NothingHeldOut,
    /// A source of which no image could be read.
    #[error("nothing was packed: none of {bad} images could be read")]
    NothingPacked {
        /// The number of images.
        bad: u64,
    },
    /// A synthetic set without images, with too many, or with fewer images than shards.
    #[error("{count} images do not fill {shards} shards")]
    Count {
        /// The requested number of images.
        count: usize,
        /// The requested number of shards.
        shards: usize,
        /// The most images that are drawn.
        most: usize,
    },
}

impl OutputError {
    /// Returns the cure.
    pub fn hint(&self) -> OutputHint {
        match self {
            Self::Exists { shards, .. } => OutputHint::Replace { shards: *shards },
            Self::Prefix { .. } => OutputHint::PlainPrefix,
            Self::SamePrefix { .. } => OutputHint::OtherPrefix,
            Self::NothingHeldOut => OutputHint::NoValidation,
            Self::NothingPacked { .. } => OutputHint::SeeWarnings,
            Self::Count { most, .. } => OutputHint::Count { most: *most },
        }
    }

    pub(super) fn is_misuse(&self) -> bool {
        matches!(self, Self::Count { .. })
    }
}
