//! The files that expanded patterns name.

use std::{
    collections::HashMap,
    fs::Metadata,
    io::ErrorKind::{InvalidFilename, NotADirectory, NotFound},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    diagnose,
    error::{PatternError, Result},
};

/// The files found so far, and the names without a file.
#[derive(Debug, Default)]
pub(super) struct Named {
    found: Vec<(PathBuf, Identity)>,
    pub(super) missing: Vec<String>,
}

/// The identity of a file, whatever its name. Size and times are included for systems that use inode numbers
/// twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    times: [i64; 4],
}

impl Identity {
    fn of(file: &Metadata) -> Self {
        let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
        Self { device: file.dev(), inode: file.ino(), size: file.len(), times }
    }
}

impl Named {
    /// Looks for a file, or for the files that a glob matches.
    pub(super) fn add(&mut self, name: String) -> Result<()> {
        if let Some(file) = look(Path::new(&name))? {
            self.found.push((name.into(), file));
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

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.found.iter().map(|(path, _)| path.clone()).collect()
    }

    /// Returns the files.
    ///
    /// # Errors
    /// [`PatternError::Twice`] if a file is named twice, under the same name or another.
    pub(super) fn once(self) -> Result<Vec<PathBuf>> {
        let (mut files, mut names) = (HashMap::new(), HashMap::new());
        for (path, identity) in &self.found {
            let by_name = names.insert(path.as_os_str(), path);
            let Some(other) = by_name.or(files.insert(identity, path)) else { continue };
            let is_same = other.as_os_str() == path.as_os_str();
            let also = format!(", it is the same file as `{}`", other.display());
            let also = if is_same { String::new() } else { also };
            return Err(PatternError::Twice { path: path.clone(), also });
        }
        Ok(self.found.into_iter().map(|(path, _)| path).collect())
    }
}

/// Returns whether there is a file of this name that can be a shard.
pub(super) fn is_file(path: &Path) -> Result<bool> {
    Ok(look(path)?.is_some())
}

/// Looks for a file.
///
/// # Errors
/// The path is a folder, which no pattern means, or another thing that cannot be a shard.
fn look(path: &Path) -> Result<Option<Identity>> {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(diagnose::folder(path)),
        Ok(metadata) => match irregular_kind(&metadata) {
            Some(what) => Err(PatternError::NotAFile { path: path.to_owned(), what }),
            None => Ok(Some(Identity::of(&metadata))),
        },
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | InvalidFilename) => {
            match path.read_link() {
                Ok(target) => Err(PatternError::Dangling { path: path.to_owned(), target }),
                Err(_) => Ok(None),
            }
        }
        Err(source) => Err(PatternError::Open { path: path.to_owned(), source }),
    }
}

/// Returns the kind of a file that is not regular: reading it might wait for other processes, or never end.
fn irregular_kind(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match () {
        () if kind.is_fifo() => Some("a pipe"),
        () if kind.is_char_device() || kind.is_block_device() => Some("a device"),
        () => None,
    }
}

/// Returns the files that a glob matches. As in a shell, hidden files match only an explicit dot.
fn matches(pattern: &str) -> Result<Vec<(PathBuf, Identity)>> {
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let wants_hidden = is_hidden(Path::new(pattern));
    let syntax =
        |error: glob::PatternError| PatternError::Syntax { pattern: pattern.to_owned(), reason: error.msg };
    let paths = glob::glob(pattern).map_err(syntax)?;
    let open =
        |error: glob::GlobError| PatternError::Open { path: error.path().to_owned(), source: error.into() };
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(open)?;
        if (wants_hidden || !is_hidden(&path))
            && !path.is_dir()
            && let Some(file) = look(&path)?
        {
            files.push((path, file));
        }
    }
    Ok(files)
}
