//! Files of a run folder. They are written completely or not at all, and never through a symbolic link.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{StatVfs, statvfs},
    io::Errno,
};
pub(crate) use shards::Partial;

/// Opens a file for appending. Creates it if it does not exist.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().append(true).create(true))
}

/// Opens a file for reading and writing without truncating it. Creates it if it does not exist.
pub(crate) fn edit(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).write(true).create(true))
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    options.custom_flags(flags).open(path).map_err(|error| {
        if path.is_symlink() {
            io::Error::other("it is a symbolic link, which is not followed")
        } else {
            error
        }
    })
}

/// Replaces the contents of a file atomically. The new contents are on the disk when the function returns.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    Partial::under(path, partial(path)).write(contents)
}

/// Renames a file or folder within its file system. The new name is on the disk when the function returns.
pub(crate) fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to)?;
    if folder_of(from) == folder_of(to) { Ok(()) } else { sync_folder(from) }
}

/// Returns the folder that contains `path`, or `.` for a bare file name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the statistics of the file system where a folder is or would be created.
pub(crate) fn system_of(folder: &Path) -> io::Result<StatVfs> {
    Ok(statvfs(nearest_existing(folder)?)?)
}

/// Syncs the folder that contains `path`, so that renames in it are on the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    shards::sync_folder(folder_of(path))
}

/// Checks that symbolic links can be created in a folder, or where it would be created.
///
/// # Errors
///
/// If the file system refuses links. A place that cannot be written at all is no error here.
pub(crate) fn check_links(folder: &Path) -> io::Result<()> {
    let existing = nearest_existing(folder)?;
    let Ok(trial) = tempfile::Builder::new().prefix(".links-").tempdir_in(existing) else { return Ok(()) };
    let Err(error) = symlink("target", trial.path().join("link")) else { return Ok(()) };
    match Errno::from_io_error(&error) {
        Some(Errno::PERM | Errno::NOTSUP | Errno::NOSYS) => Err(error),
        _ => Ok(()),
    }
}

/// Returns the folder itself, or its nearest ancestor that exists.
fn nearest_existing(folder: &Path) -> io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    Ok(existing.to_owned())
}

fn partial(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".partial");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_does_not_exist_is_on_the_disk_of_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let blocks = [folder.path().to_owned(), folder.path().join("a/b")]
            .map(|path| system_of(&path).unwrap().f_blocks);
        assert!(blocks[0] > 0 && blocks[0] == blocks[1]);
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn a_symbolic_link_in_the_place_of_a_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        for opened in [append(&link), edit(&link)] {
            assert!(opened.unwrap_err().to_string().contains("is a symbolic link"));
        }
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert_eq!(fs::read(&link).unwrap(), b"new");
    }
}
