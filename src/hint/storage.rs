//! What can be done when a disk or a folder refuses, by the error of the system in a chain.

use std::io::{self, ErrorKind};

use rustix::io::Errno;

use super::error::walk;

/// What the user can do when a disk is full.
pub(super) const FREE_SPACE: &str = "free some space on that disk, then run the same command again";

/// The first reason of the system in a chain; a wrapper of another error has none of its own.
fn kind(error: &anyhow::Error) -> Option<ErrorKind> {
    let mut kinds = walk(error).filter_map(|cause| {
        let errno = cause.downcast_ref::<Errno>().map(|&errno| io::Error::from(errno).kind());
        errno.or_else(|| cause.downcast_ref::<io::Error>().map(io::Error::kind))
    });
    kinds.find(|kind| *kind != ErrorKind::Other)
}

/// Whether a disk, or a user's share of it, is full.
pub(super) fn is_full(error: &anyhow::Error) -> bool {
    matches!(kind(error), Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// What the user can do when a file cannot be written.
pub(super) fn write_cure(error: &anyhow::Error) -> &'static str {
    match kind(error) {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => FREE_SPACE,
        Some(ErrorKind::PermissionDenied) => {
            "give this user the right to write there, then run the same command again"
        }
        Some(ErrorKind::ReadOnlyFilesystem) => {
            "make that file system writable, then run the same command again"
        }
        Some(ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            "make the folder that it belongs to, then run the same command again"
        }
        _ => "check free space and permissions there, then run the same command again",
    }
}

/// Whether another place would not have failed.
pub(super) fn is_of_the_place(error: &anyhow::Error) -> bool {
    matches!(
        kind(error),
        Some(
            ErrorKind::PermissionDenied
                | ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::IsADirectory
                | ErrorKind::AlreadyExists
                | ErrorKind::ReadOnlyFilesystem
        )
    )
}
