//! The golden files of augmentations.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Reads all files of kind `amdim_augment` in `tests/fixtures`, or in the folder `AMDIM_FIXTURES`. Only the
/// project's own folder must have some.
pub(crate) fn fixtures() -> Vec<(Value, Vec<u8>)> {
    let named = env::var_os("AMDIM_FIXTURES");
    let is_own = named.is_none();
    let folder =
        named.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures"), PathBuf::from);
    let paths = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let facts: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if facts["kind"] == "amdim_augment" {
            found.push((facts, fs::read(path.with_extension("safetensors")).unwrap()));
        }
    }
    assert!(!is_own || !found.is_empty(), "no augment fixture in {}", folder.display());
    found
}
