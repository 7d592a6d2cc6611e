//! Parts of paths.

use std::path::Path;

/// Returns the folder that contains a path; `.` for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns whether a file's name ends in `.tar`.
pub(crate) fn is_tar(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "tar")
}
