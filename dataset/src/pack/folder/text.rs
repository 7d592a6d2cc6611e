//! Paths as text; paths need not be UTF-8.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

/// Returns the key of the image at a path: the path without its extension. Dots in the base name become
/// underscores, since readers end the key at the first dot.
pub(super) fn key_of(path: &Path) -> String {
    let stem = text_of(path.file_stem().unwrap_or_default()).replace('.', "_");
    let above = path.parent().map_or_else(String::new, |above| text_of(above.as_os_str()));
    if above.is_empty() { stem } else { format!("{above}/{stem}") }
}

/// Returns a name as text, with `%FF` for a byte that is not UTF-8.
pub(super) fn text_of(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    text
}
