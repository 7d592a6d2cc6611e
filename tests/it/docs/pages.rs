//! The documents of the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub(super) fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub(super) fn read(name: &str) -> String {
    fs::read_to_string(root(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every document below a folder, by its path in the repository.
pub(super) fn documents(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            found.extend(documents(&name));
        } else if entry.path().extension().is_some_and(|end| end == "md") {
            found.push(name);
        }
    }
    found.sort();
    found
}
