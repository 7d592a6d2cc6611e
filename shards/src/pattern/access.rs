//! Cures for files that cannot be opened.

use std::io;

/// The cure for a file that cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessHint {
    /// Allow this process more open files.
    OpenFiles,
    /// Let this user read the file and enter its folders.
    Permission,
    /// Restore the file, which disappeared a moment ago.
    Missing,
    /// Check the file, its permissions and its disk.
    Check,
}

/// The error numbers of too many open files, in a process and in the system.
const TOO_MANY_OPEN: [i32; 2] = [libc::EMFILE, libc::ENFILE];

impl AccessHint {
    /// Chooses the cure by the system's error.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            _ if error.raw_os_error().is_some_and(|number| TOO_MANY_OPEN.contains(&number)) => {
                Self::OpenFiles
            }
            io::ErrorKind::PermissionDenied => Self::Permission,
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Check,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_opened_gets_the_cure_of_its_cause() {
        for (number, hint) in [
            (libc::EMFILE, AccessHint::OpenFiles),
            (libc::EACCES, AccessHint::Permission),
            (libc::ENOENT, AccessHint::Missing),
            (libc::EIO, AccessHint::Check),
        ] {
            assert_eq!(AccessHint::of(&io::Error::from_raw_os_error(number)), hint, "{number}");
        }
    }
}
