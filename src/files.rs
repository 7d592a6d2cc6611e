//! Files of a run folder: written whole or not at all, and never through a link that somebody put in their place.

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

/// Opens a file to add to it.
pub(crate) fn append(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().append(true).create(true))
}

/// Opens a file for reading and writing as it is.
pub(crate) fn edit(path: &Path) -> io::Result<File> {
    open(path, OpenOptions::new().read(true).write(true).create(true))
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    options.custom_flags(flags).open(path).map_err(|error| {
        if path.is_symlink() { io::Error::other("it is a link, which is not followed") } else { error }
    })
}

/// Puts a file in the place of the one before. It is on the disk when this returns; until then the old one is there.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    Partial::under(path, partial(path)).write(contents)
}

/// Gives a file or a folder another name in the same file system. It has it on the disk when this returns.
pub(crate) fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to)?;
    if folder_of(from) == folder_of(to) { Ok(()) } else { sync_folder(from) }
}

/// The folder in which a path lies.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file system where a folder is, or would be made.
pub(crate) fn system_of(folder: &Path) -> io::Result<StatVfs> {
    Ok(statvfs(nearest(folder)?)?)
}

/// Brings the names in the folder of `path` onto the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    shards::sync_folder(folder_of(path))
}

/// Whether symbolic links can be made in a folder, or where it would be made: an error says why not. Where nothing can be made at
/// all, that is for others to find.
pub(crate) fn check_links(folder: &Path) -> io::Result<()> {
    let there = nearest(folder)?;
    let Ok(trial) = tempfile::Builder::new().prefix(".links-").tempdir_in(there) else { return Ok(()) };
    match symlink("target", trial.path().join("link")).map_err(|error| (Errno::from_io_error(&error), error))
    {
        Err((Some(Errno::PERM | Errno::NOTSUP | Errno::NOSYS), error)) => Err(error),
        _ => Ok(()),
    }
}

/// The folder itself, or the nearest one above that is there.
fn nearest(folder: &Path) -> io::Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    Ok(there.to_owned())
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
    fn a_folder_that_is_not_there_yet_is_on_the_disk_of_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        let blocks = [folder.path().to_owned(), folder.path().join("a/b")]
            .map(|path| system_of(&path).unwrap().f_blocks);
        assert!(blocks[0] > 0 && blocks[0] == blocks[1]);
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        for opened in [append(&link), edit(&link)] {
            assert!(opened.unwrap_err().to_string().contains("is a link"));
        }
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert_eq!(fs::read(&link).unwrap(), b"new");
    }
}
