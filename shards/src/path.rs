//! What paths say.

use std::path::Path;

/// The folder that a path lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a file is called as a tar.
pub(crate) fn is_tar(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "tar")
}
