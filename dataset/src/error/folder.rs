//! Errors of folders that must not be written to.

use std::path::PathBuf;

use crate::hint::OutputHint;

/// The reason why a folder must not be written to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A path that is a file.
    #[error("`{path}` is a file, not a folder")]
    File {
        /// The file.
        path: PathBuf,
    },
    /// A folder with files that the same command has not written.
    #[error(
        "`{path}` is neither new nor empty{}: it holds `{holds}`, and nothing is written among files that others may need",
        nor(.kind.as_deref())
    )]
    Taken {
        /// The folder.
        path: PathBuf,
        /// The kind of folder that may also be written to, e.g. "a folder of shards".
        kind: Option<String>,
        /// The first file or folder in it.
        holds: String,
    },
}

fn nor(kind: Option<&str>) -> String {
    kind.map_or_else(String::new, |kind| format!(" nor {kind}"))
}

impl FolderError {
    /// Returns the cure.
    pub fn hint(&self) -> OutputHint {
        match self {
            Self::File { .. } => OutputHint::NewFolder { example: None },
            Self::Taken { path, .. } => OutputHint::NewFolder { example: Some(path.join("new")) },
        }
    }
}
