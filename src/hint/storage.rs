//! Hints for errors of disks and folders, by the system's reason in a chain.

use std::io::{self, ErrorKind};

use rustix::io::Errno;

use super::error::walk;

/// The hint for a full disk.
pub(super) const FREE_SPACE: &str = "free some space on that disk, then run the same command again";

/// Returns the first reason of the system in a chain. An I/O error that only wraps another one is skipped.
fn kind(error: &anyhow::Error) -> Option<ErrorKind> {
    let mut kinds = walk(error).filter_map(|cause| {
        let errno = cause.downcast_ref::<Errno>().map(|&errno| io::Error::from(errno).kind());
        errno.or_else(|| cause.downcast_ref::<io::Error>().map(io::Error::kind))
    });
    kinds.find(|kind| *kind != ErrorKind::Other)
}

/// Returns whether the error says that a disk or the user's quota is full.
pub(super) fn is_full(error: &anyhow::Error) -> bool {
    matches!(kind(error), Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

/// Returns the hint for a file that cannot be written.
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
            "create its folder, then run the same command again"
        }
        _ => "check free space and permissions there, then run the same command again",
    }
}

/// Returns whether the error is about the path, so that another path would not have failed.
pub(super) fn is_wrong_place(error: &anyhow::Error) -> bool {
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
