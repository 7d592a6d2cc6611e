//! Folders that are not to be written into.

use std::path::PathBuf;

use crate::hint::OutputHint;

/// Why a folder is not to be written into.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The path is that of a file.
    #[error("`{path}` is a file, not a folder")]
    File {
        /// The file.
        path: PathBuf,
    },
    /// The folder holds files that were not written by the same command.
    #[error(
        "`{path}` is neither new nor empty{}: it holds `{holds}`, and nothing is written among files that others may need",
        nor(.kind.as_deref())
    )]
    Taken {
        /// The folder.
        path: PathBuf,
        /// What else the folder may be, e.g. "a folder of shards".
        kind: Option<String>,
        /// The first file or folder in it.
        holds: String,
    },
}

fn nor(kind: Option<&str>) -> String {
    kind.map_or_else(String::new, |kind| format!(" nor {kind}"))
}

impl FolderError {
    /// What can be done about it.
    pub fn hint(&self) -> OutputHint {
        match self {
            Self::File { .. } => OutputHint::NewFolder { example: None },
            Self::Taken { path, .. } => OutputHint::NewFolder { example: Some(path.join("new")) },
        }
    }
}
