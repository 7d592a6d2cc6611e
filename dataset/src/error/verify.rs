//! Errors of verifying a set, and of writing its cleaned shards and its report.

use std::{io, path::PathBuf, sync::Arc};

use crate::hint::VerifyHint;

/// The reason why a set cannot be verified as requested, or its cleaned shards or its report cannot be
/// written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A folder for cleaned shards that contains the originals.
    #[error("`{folder}` holds the originals, which are not overwritten")]
    Originals {
        /// The folder.
        folder: PathBuf,
    },
    /// Two shards of different folders with the same name.
    #[error("`{first}` and `{second}` would have the same name in `{folder}`")]
    SameName {
        /// One shard.
        first: Arc<str>,
        /// The other.
        second: Arc<str>,
        /// The folder for cleaned shards.
        folder: PathBuf,
    },
    /// A file that a cleaned shard would replace.
    #[error("`{path}` exists already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A folder for cleaned shards that cannot be written to.
    #[error("cannot write to `{folder}`")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A set without good samples.
    #[error("no sample is left to be written")]
    NothingLeft,
    /// A shard of which some bytes could not be read; it need not be damaged.
    #[error(
        "shard `{shard}` could not be read completely, and its unread samples need not be bad: neither this shard nor any after \
         it is written"
    )]
    Unread {
        /// The shard.
        shard: Arc<str>,
    },
    /// A shard that was changed after it was verified.
    #[error("shard `{shard}` was changed after it was verified")]
    Changed {
        /// The shard.
        shard: Arc<str>,
    },
    /// A cleaned shard that cannot be written; those that have their names are complete.
    #[error("cannot write shard `{path}`")]
    Write {
        /// The cleaned shard.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A report in place of a shard.
    #[error("`{path}` is a shard, not a place for the report")]
    ReportIsShard {
        /// The shard.
        path: Arc<str>,
    },
    /// A report in place of another file.
    #[error("`{path}` exists already and is not a report of findings")]
    ReportExists {
        /// The file.
        path: PathBuf,
    },
    /// A report that cannot be created.
    #[error("cannot write the report `{path}`")]
    ReportPlace {
        /// The report.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A report that cannot be written completely.
    #[error("cannot write the report `{path}`")]
    Report {
        /// The report.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl VerifyError {
    /// Returns the cure.
    pub fn hint(&self) -> VerifyHint {
        match self {
            Self::Originals { .. } => VerifyHint::OtherFolder,
            Self::SameName { .. } => VerifyHint::OneFolderAtATime,
            Self::Exists { .. } => VerifyHint::EmptyFolderOrReplace,
            Self::Folder { .. } => VerifyHint::WritableFolder,
            Self::NothingLeft => VerifyHint::SeeFindings,
            Self::Unread { .. } => VerifyHint::MakeReadable,
            Self::Changed { .. } => VerifyHint::VerifyAgain,
            Self::Write { .. } => VerifyHint::MakeRoom,
            Self::ReportIsShard { .. } | Self::ReportExists { .. } => VerifyHint::OtherReport,
            Self::ReportPlace { .. } => VerifyHint::WritableReport,
            Self::Report { .. } => VerifyHint::ReportWithRoom,
        }
    }

    pub(super) fn is_misuse(&self) -> bool {
        match self {
            Self::Originals { .. }
            | Self::SameName { .. }
            | Self::Exists { .. }
            | Self::Folder { .. }
            | Self::ReportIsShard { .. }
            | Self::ReportExists { .. }
            | Self::ReportPlace { .. } => true,
            Self::NothingLeft
            | Self::Unread { .. }
            | Self::Changed { .. }
            | Self::Write { .. }
            | Self::Report { .. } => false,
        }
    }
}
