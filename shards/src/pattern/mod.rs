//! From patterns to files.

mod braces;
mod diagnose;
mod error;

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use self::braces::Template;
pub use self::error::{Listing, PatternError};
use crate::{Error, Result};

/// Files that patterns may name together; beyond that it is a slip of the finger.
const LIMIT: u64 = 10_000_000;

/// The files that the patterns name, in the order of the patterns and of their numbers; globs in alphabetical order.
///
/// A pattern is a path in which `<000..999>` or `{000..999}` stands for each of these numbers (padded with zeros as
/// written), `{a,b}` for each of these texts, and `*`, `?`, `[…]` match names as in a shell. They may be combined and
/// nested. `@list.txt` names a file with one pattern a line, relative to that file's folder; empty lines and those
/// beginning with `#` are skipped. A leading `~/` is the home folder, since a quoted pattern hides it from the shell.
/// A file that exists is named by its very path, whatever characters are in it.
///
/// Every named file must exist: a gap in the numbers is an error, and so is a file named twice.
///
/// ```no_run
/// let paths = shards::expand(&["data/train-<000..146>.tar".to_owned()])?;
/// # Ok::<(), shards::Error>(())
/// ```
pub fn expand(patterns: &[String]) -> Result<Vec<PathBuf>> {
    let patterns = read_lists(patterns)?;
    if patterns.iter().all(String::is_empty) {
        return Err(PatternError::Nothing.into());
    }
    let templates = patterns.iter().map(|pattern| parse(pattern)).collect::<Result<Vec<_>>>()?;
    let count = templates.iter().map(Template::count).fold(0, u64::saturating_add);
    if count > LIMIT {
        return Err(PatternError::TooMany { count }.into());
    }
    let mut named = Named::default();
    templates.iter().flat_map(Template::expand).try_for_each(|name| named.add(name))?;
    if !named.missing.is_empty() {
        return Err(diagnose::missing(&patterns, &named.found, &named.missing).into());
    }
    let mut seen = HashSet::with_capacity(named.found.len());
    match named.found.iter().find(|path| !seen.insert(path.as_path())) {
        Some(path) => Err(PatternError::Twice { path: path.clone() }.into()),
        None => Ok(named.found),
    }
}

/// Replaces each `@list` by its lines.
fn read_lists(patterns: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for pattern in patterns {
        let Some(list) = pattern.strip_prefix('@') else {
            all.push(at_home(pattern));
            continue;
        };
        let list = PathBuf::from(at_home(list));
        let open = |source| Error::from(PatternError::List { path: list.clone(), source });
        let text = fs::read_to_string(&list).map_err(open)?;
        let before = all.len();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line.starts_with('@') {
                return Err(PatternError::Nested { path: list, line: line.to_owned() }.into());
            }
            all.push(beside(&list, &at_home(line)));
        }
        if all.len() == before {
            return Err(PatternError::EmptyList { path: list }.into());
        }
    }
    Ok(all)
}

fn at_home(pattern: &str) -> String {
    match (pattern.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => format!("{home}/{rest}"),
        _ => pattern.to_owned(),
    }
}

/// A line of a list, relative to the list's folder.
fn beside(list: &Path, line: &str) -> String {
    match list.parent().and_then(Path::to_str) {
        Some(folder) if !folder.is_empty() && !Path::new(line).is_absolute() => format!("{folder}/{line}"),
        _ => line.to_owned(),
    }
}

/// Takes a pattern apart; the name of a file is no pattern.
fn parse(pattern: &str) -> Result<Template> {
    if is_file(Path::new(pattern))? {
        return Ok(Template::literal(pattern));
    }
    Ok(Template::parse(pattern)?)
}

/// What has been found so far, and what has not.
#[derive(Debug, Default)]
struct Named {
    found: Vec<PathBuf>,
    missing: Vec<String>,
}

impl Named {
    fn add(&mut self, name: String) -> Result<()> {
        if is_file(Path::new(&name))? {
            self.found.push(name.into());
        } else if name.contains(['*', '?', '[']) {
            let matched = matches(&name)?;
            if matched.is_empty() {
                self.missing.push(name);
            }
            self.found.extend(matched);
        } else {
            self.missing.push(name);
        }
        Ok(())
    }
}

/// Whether there is a file; a folder is an error, since no pattern means one.
fn is_file(path: &Path) -> Result<bool> {
    use std::io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(diagnose::folder(path).into()),
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | InvalidFilename) => Ok(false),
        Err(source) => Err(Error::Open { path: path.to_owned(), source }),
    }
}

/// The files that a glob matches.
fn matches(pattern: &str) -> Result<Vec<PathBuf>> {
    let syntax =
        |error: glob::PatternError| PatternError::Syntax { pattern: pattern.to_owned(), reason: error.msg };
    let paths = glob::glob(pattern).map_err(syntax)?;
    let open = |error: glob::GlobError| Error::Open { path: error.path().to_owned(), source: error.into() };
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(open)?;
        if !path.is_dir() {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
