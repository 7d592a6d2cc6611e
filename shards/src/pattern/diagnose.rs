//! Diagnoses a pattern without files: what the user may have meant.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use super::{
    error::{Listing, PatternError},
    hint::PatternHint,
};
use crate::path::{folder_of, is_tar};

/// Extensions of compressed files, and the programs that decompress them.
const COMPRESSED: [(&str, &str); 4] =
    [("gz", "gunzip"), ("zst", "unzstd"), ("xz", "unxz"), ("bz2", "bunzip2")];

/// Explains why some or all files that the patterns name are missing.
pub(super) fn missing(patterns: &[String], found: &[PathBuf], missing: &[String]) -> PatternError {
    let first = &missing[0];
    if let Some(link) = dangling_folder(first) {
        return link;
    }
    if let Some(swallowed) = swallowed(first).filter(|_| patterns.contains(first)) {
        return swallowed;
    }
    let count = found.len() + missing.len();
    let missing = Listing(missing.to_vec());
    if found.is_empty() {
        let (there, hint) = instead(patterns, first, missing.0.len() > 1);
        return PatternError::NoMatch { missing, there, hint };
    }
    let subject = match patterns {
        [pattern] => format!("`{pattern}` names"),
        _ => format!("the {} patterns name", patterns.len()),
    };
    let found = Listing(found.iter().map(|path| path.display().to_string()).collect());
    let glob = glob_of(&found.0[0]);
    PatternError::Gap { subject, count, missing, found, glob }
}

/// Makes the error for a folder.
pub(super) fn folder(path: &Path) -> PatternError {
    let tars = tars_in(path, "");
    let hint = match &*tars {
        [] => PatternHint::Pack,
        tars => patterns_for(path, tars),
    };
    PatternError::Folder { path: path.to_owned(), found: tars_text(tars), hint }
}

/// Describes what is there instead of the first missing file, and what to name instead.
fn instead(patterns: &[String], name: &str, is_of_many: bool) -> (String, PatternHint) {
    if let Some(folder) = missing_folder(name) {
        return without_folder(&folder, name);
    }
    let folder = folder_of(Path::new(name));
    let tars = tars_in(folder, "");
    let there = format!("the folder `{}` holds {}", folder.display(), tars_text(tars.clone()));
    let typed = match patterns {
        [pattern] => pattern.as_str(),
        _ => name,
    };
    let hint = if Path::new(&format!("{name}.tar")).is_file() {
        PatternHint::Extension(format!("{typed}.tar"))
    } else if let Some((ending, program)) = compressed(name) {
        PatternHint::Decompress { file: format!("{name}.{ending}"), program }
    } else if let Some(nearest) = nearest(name, is_of_many, &tars) {
        PatternHint::Patterns(vec![nearest])
    } else {
        hint(&tars)
    };
    (there, hint)
}

/// Finds the first missing folder of a path. Returns `None` if a folder before it is a glob.
fn missing_folder(name: &str) -> Option<PathBuf> {
    let is_glob = |path: &Path| path.to_string_lossy().contains(['*', '?', '[']);
    let ancestors: Vec<_> = Path::new(name).ancestors().skip(1).collect();
    let mut folders = ancestors.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty());
    let first = folders.find(|folder| is_glob(folder) || !folder.is_dir())?;
    (!is_glob(first)).then(|| first.to_owned())
}

/// Recognizes a link to a missing folder in a path.
fn dangling_folder(name: &str) -> Option<PatternError> {
    let path = missing_folder(name)?;
    let target = path.read_link().ok()?;
    Some(PatternError::Dangling { path, target })
}

/// Describes a missing folder, and what to name instead.
fn without_folder(missing: &Path, name: &str) -> (String, PatternHint) {
    let shown = missing.display();
    if missing.is_file() {
        return (format!("`{shown}` is a file, not a folder"), PatternHint::FileInFolder);
    }
    let here = env::current_dir().ok().filter(|_| missing.is_relative());
    let here = here.map_or_else(String::new, |here| format!(" in the current folder, `{}`", here.display()));
    let there = format!("the folder `{shown}` does not exist{here}");
    let hint = match sibling(missing) {
        Some(folder) => {
            let rest = Path::new(name).strip_prefix(missing).unwrap_or(Path::new(""));
            PatternHint::NearestFolder { pattern: folder.join(rest).display().to_string(), folder }
        }
        None if missing.is_relative() => PatternHint::CurrentFolder,
        None => PatternHint::ExistingFolder,
    };
    (there, hint)
}

/// Finds the folder with the most similar name beside a missing one.
fn sibling(missing: &Path) -> Option<PathBuf> {
    let name = missing.file_name()?.to_str()?;
    let parent = folder_of(missing);
    let folders = parent.read_dir().ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        entry.path().is_dir().then(|| entry.file_name().into_string().ok())?
    });
    let found =
        folders.filter(|other| is_near(name, other)).min_by_key(|other| strsim::osa_distance(name, other))?;
    Some(missing.with_file_name(found))
}

/// Returns whether one name may be a typing error for the other.
fn is_near(typed: &str, there: &str) -> bool {
    3 * strsim::osa_distance(typed, there) <= typed.chars().count()
}

/// Returns extension and program of the compressed file that has this name but for its extension.
fn compressed(name: &str) -> Option<(&'static str, &'static str)> {
    COMPRESSED.into_iter().find(|(ending, _)| Path::new(&format!("{name}.{ending}")).is_file())
}

/// Finds the tar, or the pattern for numbered tars, with the name most similar to `name`.
fn nearest(name: &str, is_of_many: bool, tars: &[String]) -> Option<String> {
    let typed = begin(name);
    let groups = groups(tars);
    let distance = |group: &str| strsim::osa_distance(typed, group);
    let (group, members) = groups.iter().min_by_key(|(group, _)| distance(group))?;
    if *group != typed && !is_near(base(typed), base(group)) {
        return None;
    }
    let corrected = format!("{group}{}", &name[typed.len()..]);
    let is_one = !is_of_many && members.contains(&corrected);
    Some(if is_one { corrected } else { pattern_for(members) })
}

/// Groups tars by their names before the numbers.
fn groups(tars: &[String]) -> BTreeMap<&str, Vec<String>> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for tar in tars {
        groups.entry(begin(tar)).or_default().push(tar.clone());
    }
    groups
}

/// Returns a name up to its number or glob.
fn begin(name: &str) -> &str {
    let stem = name.strip_suffix(".tar").unwrap_or(name);
    let stem = stem.find(['*', '?', '[']).map_or(stem, |at| &stem[..at]);
    stem.trim_end_matches(|letter: char| letter.is_ascii_digit())
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Suggests patterns for the tars of a folder: training and validation shards separately if there are both,
/// else all of them or each group.
fn patterns_for(folder: &Path, tars: &[String]) -> PatternHint {
    const SHOWN: usize = 3;
    if let Some(parts) = parts(tars) {
        return parts;
    }
    let all = folder.join("*.tar").display().to_string();
    let mut patterns = vec![all];
    patterns.extend(groups(tars).into_values().map(|group| pattern_for(&group)).take(SHOWN));
    patterns.dedup();
    PatternHint::Patterns(patterns)
}

/// Suggests patterns for training and validation shards if there are both: a pattern for all would train on
/// the latter.
fn parts(tars: &[String]) -> Option<PatternHint> {
    let groups = groups(tars);
    let of_part = |words: &[&str]| {
        let is_part = |name: &str| {
            base(name).split(|c: char| !c.is_alphabetic()).any(|word| words.contains(&&*word.to_lowercase()))
        };
        let members = groups.iter().filter(|(name, _)| is_part(name)).map(|(_, group)| pattern_for(group));
        Some(members.collect::<Vec<_>>()).filter(|patterns| !patterns.is_empty())
    };
    let (train, validation) = (of_part(&["train", "training"])?, of_part(&["val", "valid", "validation"])?);
    Some(PatternHint::Parts { train, validation })
}

fn tars_text(tars: Vec<String>) -> String {
    if tars.is_empty() { "no `.tar` files".to_owned() } else { Listing(tars).to_string() }
}

fn hint(tars: &[String]) -> PatternHint {
    if tars.is_empty() {
        return PatternHint::Pack;
    }
    parts(tars).unwrap_or_else(|| PatternHint::Patterns(vec![pattern_for(tars)]))
}

/// Recognizes the rest of an unquoted pattern, such as `x-` of `x-<000..003>.tar`.
fn swallowed(argument: &str) -> Option<PatternError> {
    let lacks_ending = Path::new(&format!("{argument}.tar")).is_file();
    if argument.is_empty() || argument.ends_with('/') || is_tar(argument) || lacks_ending {
        return None;
    }
    let begin = Path::new(argument).file_name()?.to_str()?;
    let found = tars_in(folder_of(Path::new(argument)), begin);
    let pattern = pattern_for(&found);
    let argument = argument.to_owned();
    (!found.is_empty()).then_some(PatternError::Swallowed { argument, found: Listing(found), pattern })
}

/// Returns the tar files in a folder whose names begin with `begin`, in alphabetical order.
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

/// Returns a pattern for these files: a range if their numbers have no gap, else a glob.
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

/// Returns `a/x-*.tar` for `a/x-000.tar`.
fn glob_of(path: &str) -> String {
    match numbered(path) {
        Some((begin, _)) => format!("{begin}*.tar"),
        None => folder_of(Path::new(path)).join("*.tar").display().to_string(),
    }
}

/// Splits a tar file's name before the number at its end.
fn numbered(path: &str) -> Option<(&str, &str)> {
    let stem = path.strip_suffix(".tar")?;
    let begin = stem.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (begin.len() < stem.len()).then(|| stem.split_at(begin.len()))
}
