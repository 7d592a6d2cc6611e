//! The cases to compare with: those in the program, or those of a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;
use tch::Device;

use super::{case::Case, embedded::EMBEDDED};

/// Where the cases are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cases {
    /// In the program: one small case of each method.
    Embedded,
    /// In a folder and the folders in it.
    Folder(PathBuf),
}

impl Cases {
    /// Reads all cases of a kind, such as `cmc_case`, for comparisons on `device`.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn of_kind(&self, kind: &str, device: Device) -> Result<Vec<Case>> {
        match self {
            Self::Embedded => embedded(kind, device),
            Self::Folder(folder) => {
                let paths = paths(folder)?.into_iter();
                let opened = paths.map(|path| open(&path, kind, device)).filter_map(Result::transpose);
                opened.collect()
            }
        }
    }

    /// Compares all cases of a kind on `device` and returns their number.
    pub(super) fn each(
        &self,
        kind: &str,
        device: Device,
        compare: impl FnMut(Case) -> Result<()>,
    ) -> Result<usize> {
        let cases = self.of_kind(kind, device)?;
        let count = cases.len();
        cases.into_iter().try_for_each(compare)?;
        Ok(count)
    }
}

fn embedded(kind: &str, device: Device) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for stored in EMBEDDED {
        let facts: Value = serde_json::from_slice(stored.facts).context(stored.name)?;
        if kind_of(&facts) == kind {
            cases.push(Case::read(stored.name, facts, stored.tensors, device)?);
        }
    }
    Ok(cases)
}

/// Reads the case at `path` if it is of this kind.
fn open(path: &Path, kind: &str, device: Device) -> Result<Option<Case>> {
    let facts = facts_of(path)?;
    if kind_of(&facts) != kind {
        return Ok(None);
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let tensors = path.with_extension("safetensors");
    if !tensors.exists() {
        return Ok(Some(Case::without_tensors(&name, facts, device)));
    }
    let bytes = fs::read(&tensors).with_context(|| format!("cannot read `{}`", tensors.display()))?;
    Case::read(&name, facts, &bytes, device).map(Some)
}

/// Returns the descriptions of all cases in a folder and in the folders in it, sorted.
///
/// # Errors
///
/// If a folder cannot be read.
pub fn paths(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries =
        entries.with_context(|| format!("cannot read the golden tensors in `{}`", folder.display()))?;
    let mut entries: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            found.extend(paths(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Reads the description of a case.
///
/// # Errors
///
/// If the file cannot be read or is not JSON.
pub fn facts_of(path: &Path) -> Result<Value> {
    let read = || -> Result<Value> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    read().with_context(|| format!("cannot read `{}`", path.display()))
}

/// Returns the kind of a case. Only the list of the names of ResNets has none.
pub fn kind_of(facts: &Value) -> &str {
    match facts["kind"].as_str() {
        Some(kind) => kind,
        None if facts.get("resnet18").is_some() => "resnet_names",
        None => "none",
    }
}
