//! Folders that a command may write to: new ones, empty ones, and ones that it has written before.

use std::{
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use crate::error::{FolderError, Result};

/// Checks that a command may write to a folder: the folder is new or empty, or `is_own` recognizes its
/// entries as the command's own.
///
/// `kind` describes own folders in the error, e.g. "a folder of shards". Logs, files made by systems and
/// shells, and the file `besides` are not counted as entries. The root folder and the user's home are never
/// own folders.
///
/// # Errors
/// The path is a file, or the folder has other entries.
pub fn check_folder(
    path: &Path,
    kind: Option<&str>,
    besides: Option<&Path>,
    is_own: impl FnOnce(&[PathBuf]) -> bool,
) -> Result<()> {
    if path.is_file() {
        return Err(FolderError::File { path: path.to_owned() }.into());
    }
    let entries = entries(path, besides);
    let Some(first) = entries.first() else { return Ok(()) };
    if !is_of_everybody(path) && is_own(&entries) {
        return Ok(());
    }
    let (kind, holds) = (kind.map(str::to_owned), name(first));
    Err(FolderError::Taken { path: path.to_owned(), kind, holds }.into())
}

/// Returns the sorted entries of a folder that may be somebody's; empty if it cannot be listed, since writing
/// to it will fail anyway.
fn entries(folder: &Path, besides: Option<&Path>) -> Vec<PathBuf> {
    let besides = besides.and_then(|path| path.canonicalize().ok());
    let counts = |entry: &PathBuf| {
        !is_nobodys(&name(entry))
            && !is_output_of_this_process(entry)
            && (besides.is_none() || entry.canonicalize().ok() != besides)
    };
    let listed = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut entries: Vec<_> = listed.map(|entry| entry.path()).filter(counts).collect();
    entries.sort();
    entries
}

/// Returns whether systems put a file of this name into new folders, or a shell writes it there for the
/// command.
fn is_nobodys(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "lost+found",
        ".DS_Store",
        ".gitkeep",
        ".gitignore",
        ".keep",
        ".snapshot",
        "Thumbs.db",
        "desktop.ini",
    ];
    let is_log = || [".log", ".out", ".err", ".pid"].iter().any(|end| name.ends_with(end));
    NAMES.contains(&name) || name.starts_with(".nfs") || is_log()
}

/// Returns whether the output of this process goes to this file.
fn is_output_of_this_process(path: &Path) -> bool {
    let Ok(file) = path.metadata() else { return false };
    let is_file = |output: BorrowedFd<'_>| {
        rustix::fs::fstat(output)
            .is_ok_and(|output| (output.st_dev, output.st_ino) == (file.dev(), file.ino()))
    };
    is_file(io::stdout().as_fd()) || is_file(io::stderr().as_fd())
}

/// Returns whether a folder is the root of the file system or the user's home.
fn is_of_everybody(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let home = std::env::var_os("HOME").and_then(|home| Path::new(&home).canonicalize().ok());
    path.parent().is_none() || home.is_some_and(|home| home == path)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
