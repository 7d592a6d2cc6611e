//! `classes.txt` beside shards: the names of classes, by label.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use shards::{ShardName, ShardSet, Source};

use crate::error::{ClassError, Result};

/// A list of class names: the first line of its file names label 0, the next one label 1, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassNames {
    path: PathBuf,
    names: Vec<String>,
}

impl ClassNames {
    /// The name of the file in a folder of shards.
    pub const FILE: &str = "classes.txt";

    /// Reads a list: UTF-8 with one name per line, with or without a byte order mark, with line ends of Unix
    /// or Windows. Blank lines at the end are ignored.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, or has a blank line between names.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|source| ClassError::Read { path: path.to_owned(), source })?;
        Self::parse(path, bytes)
    }

    /// Parses the content of a list.
    fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let text = String::from_utf8(bytes).map_err(|_| ClassError::NotUtf8 { path: path.to_owned() })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = text.trim_end().lines().count();
        let names: Vec<String> = text.lines().take(lines).map(str::to_owned).collect();
        if let Some(blank) = names.iter().position(|name| name.trim().is_empty()) {
            return Err(ClassError::Blank { path: path.to_owned(), label: blank }.into());
        }
        Ok(Self { path: path.to_owned(), names })
    }

    /// Checks that a list of these names is read as it is written.
    ///
    /// # Errors
    /// A name is blank, has a line break, or begins with a byte order mark.
    pub fn check(names: &[String]) -> Result<()> {
        let breaks_line = |char: char| matches!(char, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let flaw = |name: &str| match name {
            _ if name.trim().is_empty() => Some("is blank"),
            _ if name.contains(breaks_line) => Some("has a line break in it"),
            _ if name.starts_with('\u{feff}') => Some("begins with a byte order mark"),
            _ => None,
        };
        match names.iter().find_map(|name| Some((name, flaw(name)?))) {
            None => Ok(()),
            Some((name, flaw)) => Err(ClassError::Flawed { name: name.clone(), flaw }.into()),
        }
    }

    /// Finds the list beside the shards of a set; `None` if there is no list, or if no sample is labelled.
    ///
    /// # Errors
    /// Those of [`beside`](Self::beside).
    pub fn of(set: &ShardSet) -> Result<Option<Self>> {
        if set.labelled() == 0 { Ok(None) } else { Self::of_source(set.source(), set.shards()) }
    }

    /// Finds the list beside shards of a source, which may be on servers.
    ///
    /// # Errors
    /// Those of [`beside`](Self::beside), or a server does not answer.
    pub fn of_source(source: &dyn Source, shards: &[ShardName]) -> Result<Option<Self>> {
        let Some(parts) = source.parts() else { return Self::beside(shards) };
        // One of the shards of each folder stands for the folder.
        let folder =
            |shard: &ShardName| Path::new(shard.as_str()).parent().map(Path::to_owned).unwrap_or_default();
        let by_folder: BTreeMap<_, _> = shards.iter().map(|shard| (folder(shard), shard)).collect();
        Self::of_folders(by_folder.keys(), |folder| {
            let Some(bytes) = parts.sibling(by_folder[folder], Self::FILE)? else { return Ok(None) };
            Self::parse(&folder.join(Self::FILE), bytes)
                .map(|names| Some(names).filter(|names| !names.names.is_empty()))
        })
    }

    /// Finds the list in the folders of some shards: the longest one, if the lists agree as far as each goes.
    ///
    /// # Errors
    /// A list cannot be read, or a label means different classes in two folders.
    pub fn beside(shards: &[ShardName]) -> Result<Option<Self>> {
        let folders: BTreeSet<_> = shards.iter().map(|shard| folder_of(Path::new(shard.as_str()))).collect();
        Self::of_folders(&folders, Self::in_folder)
    }

    /// Joins the lists that `read` finds in folders.
    fn of_folders<'a>(
        folders: impl IntoIterator<Item = &'a PathBuf>,
        read: impl Fn(&Path) -> Result<Option<Self>>,
    ) -> Result<Option<Self>> {
        let mut found: Option<Self> = None;
        let mut without = None;
        for folder in folders {
            let Some(names) = read(folder)? else {
                without.get_or_insert(folder);
                continue;
            };
            found = Some(match found {
                None => names,
                Some(before) => before.joined(names)?,
            });
        }
        if let (Some(names), Some(folder)) = (&found, without) {
            names.warn_of_unnamed(&format!("the shards in {}", called(folder)));
        }
        Ok(found)
    }

    /// Reads the list in a folder; `None` if there is no list, or an empty one.
    fn in_folder(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(Self::FILE);
        match path.metadata() {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            _ => Self::read(&path).map(|names| Some(names).filter(|names| !names.names.is_empty())),
        }
    }

    /// Returns the names, by label.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the longer one of two lists that agree as far as both go.
    ///
    /// # Errors
    /// The lists do not agree; the error names the first line that differs.
    pub fn joined(self, other: Self) -> Result<Self> {
        let differing = self.names.iter().zip(&other.names).position(|(one, other)| one != other);
        if let Some(label) = differing {
            let [name, other_name] = [&self, &other].map(|list| list.names[label].clone());
            return Err(
                ClassError::Differ { label, name, path: self.path, other_name, other: other.path }.into()
            );
        }
        let (long, short) = if self.names.len() < other.names.len() { (other, self) } else { (self, other) };
        if let Some(name) = long.names.get(short.names.len()) {
            tracing::warn!(
                "`{}` ends before line {} of `{}` (`{name}`); the {} names before it are the same in both",
                short.path.display(),
                short.names.len() + 1,
                long.path.display(),
                short.names.len()
            );
        }
        Ok(long)
    }

    /// Logs a warning that other shards have no list, so that it is not checked whether their labels mean the
    /// same classes.
    pub fn warn_of_unnamed(&self, shards: &str) {
        tracing::warn!(
            "`{}` names the classes, but {shards} have no `{}` beside them: whether their labels mean the same classes is not checked",
            self.path.display(),
            Self::FILE
        );
    }

    /// Returns the names of this many classes. If the list has fewer, it does not belong to these labels: a
    /// warning is logged, and `None` returned.
    pub fn of_classes(self, classes: u32) -> Option<Vec<String>> {
        let Self { path, mut names } = self;
        if names.len() < classes as usize {
            tracing::warn!(
                "`{}` names {} classes, but labels go up to {}: results have no class names",
                path.display(),
                names.len(),
                classes - 1
            );
            return None;
        }
        names.truncate(classes as usize);
        Some(names)
    }
}

/// The first line of a list that differs from an earlier version of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renamed<'a> {
    /// The number of the line, from 1.
    pub line: usize,
    /// The name in the earlier version.
    pub then: &'a str,
    /// The present name.
    pub now: &'a str,
}

impl<'a> Renamed<'a> {
    /// Compares two versions of a list as far as both go. Returns `None` if they agree.
    pub fn between(then: &'a [String], now: &'a [String]) -> Option<Self> {
        let mut lines = (1..).zip(then.iter().zip(now));
        lines.find_map(|(line, (then, now))| (then != now).then_some(Self { line, then, now }))
    }
}

/// Writes a folder as it appears in messages.
fn called(folder: &Path) -> String {
    if folder.as_os_str().is_empty() {
        return "the current folder".to_owned();
    }
    format!("`{}`", folder.display())
}

/// Returns the folder of a shard. If the shard is a link without a list beside it, returns the folder of its
/// target.
fn folder_of(shard: &Path) -> PathBuf {
    let parent = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
    let folder = parent(shard);
    if shard.is_symlink() && !folder.join(ClassNames::FILE).exists() {
        return shard.canonicalize().map_or(folder, |target| parent(&target));
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::{ClassHint, Hint};

    /// Makes folders with a shard each and these lists; `None` is a folder without a list.
    fn folders(lists: &[Option<&str>]) -> (tempfile::TempDir, Vec<ShardName>) {
        let place = tempfile::tempdir().unwrap();
        let shard = |(number, list): (usize, Option<&str>)| {
            let folder = place.path().join(number.to_string());
            fs::create_dir(&folder).unwrap();
            if let Some(list) = list {
                fs::write(folder.join(ClassNames::FILE), list).unwrap();
            }
            fs::write(folder.join("a.tar"), "").unwrap();
            ShardName::from(folder.join("a.tar").to_str().unwrap())
        };
        let shards = lists.iter().copied().enumerate().map(shard).collect();
        (place, shards)
    }

    fn beside(lists: &[Option<&str>]) -> Result<Vec<String>> {
        let (_place, shards) = folders(lists);
        let found = ClassNames::beside(&shards)?;
        Ok(found.map_or_else(Vec::new, |found| found.names))
    }

    #[test]
    fn a_list_is_read_however_an_editor_saved_it() {
        for list in ["cat\ndog\n", "cat\r\ndog\r\n", "\u{feff}cat\ndog", "cat\ndog\n\n \r\n"] {
            assert_eq!(beside(&[Some(list)]).unwrap(), ["cat", "dog"], "{list:?}");
        }
        assert_eq!(
            beside(&[Some("crane\ncrane\n")]).unwrap(),
            ["crane", "crane"],
            "two classes may share a name"
        );
        for nothing in [None, Some(""), Some("\r\n")] {
            assert!(beside(&[nothing]).unwrap().is_empty());
        }
    }

    #[test]
    fn a_list_that_would_shift_labels_or_is_not_text_is_refused() {
        let error = beside(&[Some("cat\n\ndog\n")]).unwrap_err().to_string();
        assert!(error.contains("line 2 of") && error.contains("label 1"), "{error}");
        let (place, shards) = folders(&[None]);
        let path = place.path().join("0/classes.txt");
        fs::write(&path, b"\xff\xfec\0").unwrap();
        assert!(ClassNames::beside(&shards).unwrap_err().to_string().contains("not UTF-8"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(ClassNames::beside(&shards).is_err());
    }

    #[test]
    fn folders_with_different_lists_are_refused_with_the_first_line_that_differs() {
        let error = beside(&[Some("a\nb\nc\n"), Some("a\r\nc\r\n")]).unwrap_err();
        let hint = error.hint();
        let error = error.to_string();
        assert!(error.contains("line 2 is `b` in `"), "{error}");
        assert!(error.contains("but `c` in `") && error.contains("label 1 is two classes"), "{error}");
        assert!(
            matches!(hint, Some(Hint::Classes(ClassHint::PackAgainBy { list })) if list.ends_with("0/classes.txt"))
        );
        assert!(beside(&[Some("a\nb\n"), None, Some("b\na\n")]).is_err());
    }

    #[test]
    fn lists_that_agree_as_far_as_both_go_are_joined() {
        assert_eq!(beside(&[Some("a\nb\n"), None, Some("a\r\nb\r\nc")]).unwrap(), ["a", "b", "c"]);
        assert_eq!(beside(&[Some("a\nb\nc\n"), Some("a\n")]).unwrap(), ["a", "b", "c"]);
    }

    #[test]
    fn a_shard_without_a_folder_is_in_the_current_folder() {
        assert_eq!(called(&folder_of(Path::new("train-000.tar"))), "the current folder");
        assert_eq!(called(&folder_of(Path::new("data/train-000.tar"))), "`data`");
    }

    #[test]
    fn names_are_found_beside_the_target_of_a_linked_shard() {
        let (place, shards) = folders(&[Some("a\n")]);
        let link = place.path().join("link.tar");
        std::os::unix::fs::symlink(shards[0].as_str(), &link).unwrap();
        let linked = [ShardName::from(link.to_str().unwrap())];
        assert_eq!(ClassNames::beside(&linked).unwrap().unwrap().names(), ["a"]);
        fs::write(place.path().join("classes.txt"), "b\n").unwrap();
        assert_eq!(ClassNames::beside(&linked).unwrap().unwrap().names(), ["b"]);
    }

    #[test]
    fn a_reordered_list_is_reported_with_the_first_line_that_differs() {
        let [then, now] = [["a", "b", "c"], ["a", "c", "b"]].map(|names| names.map(str::to_owned));
        assert_eq!(Renamed::between(&then, &now), Some(Renamed { line: 2, then: "b", now: "c" }));
        assert_eq!(Renamed::between(&then, &then), None);
        assert_eq!(Renamed::between(&[], &now), None, "there were no names then");
    }

    #[test]
    fn names_that_a_list_would_not_return_are_refused() {
        for name in ["a\nb", "a\r", "", "  ", "\u{feff}a", "a\u{2028}b", "a\u{c}"] {
            let error = ClassNames::check(&["cat".to_owned(), name.to_owned()]).unwrap_err();
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
            assert_eq!(error.hint(), Some(Hint::Classes(ClassHint::Rename)));
        }
        ClassNames::check(&["a b ".to_owned(), " c,d\t".to_owned(), "é".to_owned()]).unwrap();
    }

    #[test]
    fn a_list_that_is_too_short_for_the_labels_gives_no_names() {
        let names = |classes| {
            ClassNames { path: "c".into(), names: vec!["a".into(), "b".into()] }.of_classes(classes)
        };
        assert_eq!(names(1).unwrap(), ["a"]);
        assert_eq!(names(2).unwrap(), ["a", "b"]);
        assert_eq!(names(3), None);
    }
}
