//! The output folder of a command, with shards and class names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;
use shards::{Partial, index_path};

use crate::{
    classes::ClassNames,
    error::{ClassError, FileError, OutputError, Result},
    shard_folder::check_shard_folder,
};

/// A folder for shards named `PREFIX-000.tar`, `PREFIX-001.tar` and so on, and `classes.txt`.
#[derive(Debug)]
pub(crate) struct Output {
    folder: PathBuf,
    prefix: String,
    /// The prefix of other shards of the same set.
    part: Option<&'static str>,
    shards: usize,
    /// The shards of this prefix that were in the folder before.
    old: Vec<PathBuf>,
}

/// The written shards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The number of samples in all shards.
    pub samples: u64,
    /// The number of classes; 0 if the samples have no labels.
    pub classes: usize,
    /// The number of shards.
    pub shards: usize,
    /// The bytes of all shards.
    pub bytes: u64,
    /// The number of bad samples, which were left out because they could not be read.
    #[serde(rename = "skipped")]
    pub bad: u64,
    /// The number of images in other formats that were converted to PNG.
    pub converted: u64,
    /// The number of files and folders that are not images, or are not packed for another reason; the log
    /// names them.
    pub ignored: u64,
    /// One pattern that names all shards.
    pub pattern: String,
    /// The shards of the samples that were held out for validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val: Option<Box<Summary>>,
}

impl Output {
    /// Makes the folder. Existing shards of this prefix are an error unless `force` is set.
    pub(crate) fn create(folder: &Path, prefix: &str, shards: usize, force: bool) -> Result<Self> {
        let mut output = Self::new(folder, prefix, shards);
        output.claim(force)?;
        Ok(output)
    }

    /// Names the shards, and neither makes nor checks anything.
    pub(crate) fn new(folder: &Path, prefix: &str, shards: usize) -> Self {
        let (folder, prefix) = (folder.to_owned(), prefix.to_owned());
        Self { folder, prefix, part: None, shards, old: Vec::new() }
    }

    /// Makes the folder. Existing shards of this prefix are an error unless `force` is set.
    pub(crate) fn claim(&mut self, force: bool) -> Result<()> {
        let Self { folder, prefix, .. } = self;
        check_prefix(prefix)?;
        check_shard_folder(folder)?;
        fs::create_dir_all(&*folder).map_err(FileError::writing("make the folder", &*folder))?;
        self.old = shards_of(folder, prefix)?;
        if let (Some(first), false) = (self.old.first(), force) {
            return Err(OutputError::Exists { path: first.clone(), shards: self.old.len() }.into());
        }
        Ok(())
    }

    /// Also treats shards of `prefix`, which the same command writes, as its own.
    pub(crate) fn together_with(self, prefix: &'static str) -> Self {
        Self { part: Some(prefix), ..self }
    }

    /// Returns the path of a shard.
    pub(crate) fn shard(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{}-{number:0width$}.tar", self.prefix, width = self.digits()))
    }

    /// Writes `classes.txt`, one name per line; does nothing if there are no classes.
    ///
    /// If the folder has shards of another prefix, the names must be those of the existing list, or the
    /// labels of these shards would change their meaning. If it has none, `force` replaces other names.
    pub(crate) fn write_classes(&self, classes: &[String], force: bool) -> Result<()> {
        if classes.is_empty() {
            return Ok(());
        }
        ClassNames::check(classes)?;
        let path = self.folder.join(ClassNames::FILE);
        let text: String = classes.iter().flat_map(|name| [name.as_str(), "\n"]).collect();
        let may_replace = force && !self.has_other_shards()?;
        let others =
            || ClassNames::read(&path).map(|list| !list.names().is_empty() && list.names() != classes);
        if !may_replace && path.exists() && others()? {
            return Err(ClassError::Others { list: path, count: classes.len() }.into());
        }
        let written = Partial::beside(&path).and_then(|partial| partial.write(text.as_bytes()));
        Ok(written.map_err(FileError::writing("write", path))?)
    }

    /// Returns whether the folder has shards of another prefix.
    fn has_other_shards(&self) -> Result<bool> {
        let shards = list(&self.folder)?;
        let is_own =
            |path| is_shard_of(path, &self.prefix) || self.part.is_some_and(|part| is_shard_of(path, part));
        Ok(shards.iter().any(|path| is_tar(path) && !is_own(path)))
    }

    /// Removes the remaining shards of an earlier run, and returns the summary.
    pub(crate) fn finish(&self, samples: u64, classes: usize) -> Result<Summary> {
        let new: Vec<_> = (0..self.shards).map(|number| self.shard(number)).collect();
        for path in self.old.iter().filter(|path| !new.contains(path)) {
            fs::remove_file(index_path(path)).ok(); // earlier versions wrote none
            fs::remove_file(path).map_err(FileError::writing("remove the old shard", path))?;
        }
        let size = |path: &PathBuf| fs::metadata(path).map(|file| file.len());
        let sizes =
            new.iter().map(|path| size(path).map_err(FileError::reading("find out the size of", path)));
        let bytes = sizes.sum::<Result<u64, _>>()?;
        let pattern = self.pattern();
        Ok(Summary { samples, classes, shards: self.shards, bytes, pattern, ..Summary::default() })
    }

    /// Removes the written shards, which have no samples.
    pub(crate) fn discard(&self) -> Result<()> {
        for path in (0..self.shards).map(|number| self.shard(number)) {
            fs::remove_file(index_path(&path)).ok();
            fs::remove_file(&path).map_err(FileError::writing("remove the empty shard", path))?;
        }
        Ok(())
    }

    fn pattern(&self) -> String {
        if self.shards == 1 {
            return self.shard(0).to_string_lossy().into_owned();
        }
        let width = self.digits();
        let name = format!("{}-<{:0width$}..{:0width$}>.tar", self.prefix, 0, self.shards - 1);
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// Returns the digits of a shard's number: three, or as many as the last number needs.
    fn digits(&self) -> usize {
        (self.shards.max(1) - 1).to_string().len().max(3)
    }
}

fn check_prefix(prefix: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if prefix.is_empty() || prefix.starts_with('.') || !prefix.chars().all(fits) {
        return Err(OutputError::Prefix { prefix: prefix.to_owned() }.into());
    }
    Ok(())
}

/// Returns the files named `PREFIX-DIGITS.tar` in a folder, in order.
fn shards_of(folder: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let mut paths = list(folder)?;
    paths.retain(|path| is_shard_of(path, prefix));
    paths.sort();
    Ok(paths)
}

/// Returns the entries of a folder.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    Ok(list().map_err(FileError::reading("list the folder", folder))?)
}

fn is_tar(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tar")
}

fn is_shard_of(path: &Path, prefix: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".tar"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbered_shards_of_the_prefix_count_as_existing() {
        for (name, expected) in [
            ("a-000.tar", true),
            ("a-1234.tar", true),
            ("a-.tar", false),
            ("a-b-000.tar", false),
            ("b-000.tar", false),
        ] {
            assert_eq!(is_shard_of(Path::new(name), "a"), expected, "{name}");
        }
    }

    #[test]
    fn numbers_have_three_digits_or_as_many_as_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        for (shards, name) in [(1, "x-000.tar"), (1000, "x-000.tar"), (1001, "x-0000.tar")] {
            let output = Output::create(folder.path(), "x", shards, false).unwrap();
            assert_eq!(output.shard(0), folder.path().join(name));
        }
    }

    #[test]
    fn leftovers_of_a_longer_set_are_removed_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x-000.tar", "x-007.tar", "x-y.tar", "y-000.tar"] {
            fs::write(folder.path().join(name), "old").unwrap();
        }
        assert!(Output::create(folder.path(), "x", 1, false).is_err());
        Output::create(folder.path(), "x", 1, true).unwrap().finish(1, 0).unwrap();
        let left = |name: &str| folder.path().join(name).exists();
        assert!(left("x-000.tar") && left("x-y.tar") && left("y-000.tar") && !left("x-007.tar"));
    }

    #[test]
    fn class_names_of_another_set_in_the_folder_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::create(folder.path(), "x", 1, false).unwrap();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        fs::write(folder.path().join("classes.txt"), "\n").unwrap(); // counts as no list
        output.write_classes(&names(&["cat", "dog"]), false).unwrap();
        output.write_classes(&names(&["cat", "dog"]), false).unwrap();
        let error = output.write_classes(&names(&["cat"]), false).unwrap_err();
        assert!(error.to_string().contains("other classes"), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("classes.txt")).unwrap(), "cat\ndog\n");
        fs::write(folder.path().join("y-000.tar"), "of another prefix").unwrap();
        assert!(output.write_classes(&names(&["cat"]), true).is_err(), "its labels follow the existing list");
        fs::rename(folder.path().join("y-000.tar"), folder.path().join("x-000.tar")).unwrap();
        output.write_classes(&names(&["cat"]), true).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("classes.txt")).unwrap(), "cat\n");
    }
}
