//! Errors of what is asked to be written.

use std::path::PathBuf;

use crate::hint::OutputHint;

/// Why shards cannot be written as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// Shards of this prefix lie in the folder.
    #[error("`{path}` exists already")]
    Exists {
        /// The first of them.
        path: PathBuf,
        /// How many there are.
        shards: usize,
    },
    /// A prefix cannot begin a file's name.
    #[error("the prefix `{prefix}` cannot begin the name of a file")]
    Prefix {
        /// The prefix.
        prefix: String,
    },
    /// Training and validation shards would have the same names.
    #[error("training and validation shards would both be called `{prefix}`")]
    SamePrefix {
        /// The prefix of both.
        prefix: String,
    },
    /// No sample can be held out for validation.
    #[error("there is nothing to validate on: no class has two images")]
    NothingHeldOut,
    /// No image of a source could be read.
    #[error("nothing was packed: none of {skipped} images could be read")]
    NothingPacked {
        /// How many images there are.
        skipped: u64,
    },
    /// A synthetic set has no images, too many, or fewer images than shards.
    #[error("{count} images do not fill {shards} shards")]
    Count {
        /// Images that were asked for.
        count: usize,
        /// Shards that were asked for.
        shards: usize,
        /// The most images that are drawn.
        most: usize,
    },
}

impl OutputError {
    /// What can be done about it.
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
