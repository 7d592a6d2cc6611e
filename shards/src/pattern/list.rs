//! Lists of patterns: `@list.txt`, with one pattern per line.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    address,
    error::{PatternError, Result},
};

/// The first bytes, which distinguish a shard from text.
const BEGIN: u64 = 1024;

/// Replaces each `@list` by its lines.
pub(super) fn read_all(patterns: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for pattern in patterns {
        let Some(list) = pattern.strip_prefix('@') else {
            all.push(at_home(pattern));
            continue;
        };
        address::check(list)?;
        let list = PathBuf::from(at_home(list));
        let text = read(&list)?;
        let before = all.len();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('@') {
                return Err(PatternError::Nested { path: list, line: line.to_owned() });
            }
            all.push(beside(&list, &at_home(line)));
        }
        if all.len() == before {
            return Err(PatternError::EmptyList { path: list });
        }
    }
    Ok(all)
}

/// Reads the text of a list.
///
/// # Errors
/// The file cannot be read, or is not text.
fn read(list: &Path) -> Result<String> {
    let failed = |source| PatternError::List { path: list.to_owned(), source };
    let no_list = || PatternError::NoList { path: list.to_owned() };
    let mut file = File::open(list).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let mut bytes = Vec::new();
    file.by_ref().take(BEGIN).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.contains(&0) {
        return Err(no_list()); // before a whole shard is read
    }
    file.read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| no_list())?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Makes a line of a list relative to the list's folder.
fn beside(list: &Path, line: &str) -> String {
    match list.parent().and_then(Path::to_str) {
        Some(folder)
            if !folder.is_empty() && !Path::new(line).is_absolute() && address::check(line).is_ok() =>
        {
            format!("{folder}/{line}")
        }
        _ => line.to_owned(),
    }
}

/// Replaces a leading `~/` by the home folder.
fn at_home(pattern: &str) -> String {
    match (pattern.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => format!("{home}/{rest}"),
        _ => pattern.to_owned(),
    }
}
