//! Finds out what the user may have meant.

use std::path::{Path, PathBuf};

use super::{Listing, PatternError};
use crate::temporary::folder_of;

/// Why the files that the patterns name are not all there.
pub(super) fn missing(patterns: &[String], found: &[PathBuf], missing: &[String]) -> PatternError {
    let first = &missing[0];
    if let Some(swallowed) = swallowed(first).filter(|_| patterns.contains(first)) {
        return swallowed;
    }
    let count = found.len() + missing.len();
    let missing = Listing(missing.to_vec());
    if found.is_empty() {
        let (there, hint) = instead(first);
        return PatternError::NoMatch { missing, there, hint };
    }
    let subject = match patterns {
        [pattern] => format!("`{pattern}` names"),
        _ => format!("the {} patterns name", patterns.len()),
    };
    let found = Listing(found.iter().map(|path| path.display().to_string()).collect());
    let hint = format!("\nhint: if the others are all, say so: --shards '{}'", glob_of(&found.0[0]));
    PatternError::Gap { subject, count, missing, found, hint }
}

/// What to say about a folder.
pub(super) fn folder(path: &Path) -> PatternError {
    let tars = tars_in(path, "");
    let hint = hint(&tars);
    PatternError::Folder { path: path.to_owned(), found: tars_text(tars), hint }
}

/// What lies where nothing of the pattern was found.
fn instead(name: &str) -> (String, String) {
    let folder = folder_of(Path::new(name));
    if !folder.is_dir() && !name.contains(['*', '?', '[']) {
        let there = format!("the folder `{}` does not exist", folder.display());
        return (
            there,
            "\nhint: name an existing one, in quotes: --shards 'data/train-<000..146>.tar'".to_owned(),
        );
    }
    let tars = tars_in(folder, "");
    let hint = hint(&tars);
    (format!("the folder `{}` holds {}", folder.display(), tars_text(tars)), hint)
}

fn tars_text(tars: Vec<String>) -> String {
    if tars.is_empty() { "no `.tar` files".to_owned() } else { Listing(tars).to_string() }
}

fn hint(tars: &[String]) -> String {
    if tars.is_empty() {
        return "\nhint: make shards with `amdim-stream pack`, or name the folder where they are".to_owned();
    }
    format!("\nhint: --shards '{}'", pattern_for(tars))
}

/// A leftover such as `x-` of `x-<000..003>.tar`.
fn swallowed(argument: &str) -> Option<PatternError> {
    if argument.is_empty() || argument.ends_with('/') || is_tar(argument) {
        return None;
    }
    let begin = Path::new(argument).file_name()?.to_str()?;
    let found = tars_in(folder_of(Path::new(argument)), begin);
    let pattern = pattern_for(&found);
    let argument = argument.to_owned();
    (!found.is_empty()).then_some(PatternError::Swallowed { argument, found: Listing(found), pattern })
}

/// The tar files in a folder whose names begin so, in alphabetical order.
fn tars_in(folder: &Path, begin: &str) -> Vec<String> {
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let is_wanted = |name: &str| name.starts_with(begin) && is_tar(name) && !name.starts_with('.');
    let names =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|name| is_wanted(name));
    let path = |name: String| {
        if folder == Path::new(".") { name } else { folder.join(name).display().to_string() }
    };
    let mut paths: Vec<String> = names.map(path).collect();
    paths.sort_unstable();
    paths
}

fn is_tar(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "tar")
}

/// A pattern for such files: of numbers where they have no gap, else a glob.
fn pattern_for(tars: &[String]) -> String {
    let ends = tars.first().zip(tars.last());
    let Some((first, last)) = ends else {
        return "*.tar".to_owned();
    };
    if tars.len() == 1 {
        return first.clone();
    }
    let (Some((begin, low)), Some((other, high))) = (numbered(first), numbered(last)) else {
        return glob_of(first);
    };
    let count = high.parse::<u64>().unwrap_or(0).checked_sub(low.parse().unwrap_or(0));
    if begin == other && low.len() == high.len() && count == Some(tars.len() as u64 - 1) {
        return format!("{begin}<{low}..{high}>.tar");
    }
    folder_of(Path::new(first)).join("*.tar").display().to_string()
}

/// `a/x-*.tar` for `a/x-000.tar`.
fn glob_of(path: &str) -> String {
    match numbered(path) {
        Some((begin, _)) => format!("{begin}*.tar"),
        None => folder_of(Path::new(path)).join("*.tar").display().to_string(),
    }
}

/// What comes before the number at the end of a tar file's name, and the number.
fn numbered(path: &str) -> Option<(&str, &str)> {
    let stem = path.strip_suffix(".tar")?;
    let begin = stem.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (begin.len() < stem.len()).then(|| stem.split_at(begin.len()))
}
