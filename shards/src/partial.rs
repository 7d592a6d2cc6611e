//! Files, folders and links that are complete under their names, or not there.

use std::{
    fs::{self, File, OpenOptions},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    process,
    sync::LazyLock,
};

use crate::path::folder_of;

/// How the names of files end that this process has not finished yet.
///
/// The number of the process alone would not do: processes in two containers that write to one folder may share theirs.
pub fn unfinished_suffix() -> &'static str {
    static SUFFIX: LazyLock<String> = LazyLock::new(|| {
        let token = RandomState::new().hash_one(process::id()); // keyed by numbers that the system draws for each process
        format!(".{}-{token:016x}.tmp", process::id())
    });
    &SUFFIX
}

/// A file, a folder or a link that is written beside its place, and gets its name when it is whole and on the disk.
///
/// Dropped before that, it is removed, and what had the name before stays.
///
/// ```
/// use std::io::Write;
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("result.json");
/// let partial = shards::Partial::beside(&path)?;
/// partial.create()?.write_all(b"{}")?;
/// assert!(!path.exists());
/// partial.finish()?;
/// assert_eq!(std::fs::read(&path)?, b"{}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "it is removed when it is dropped"]
pub struct Partial {
    /// Where it is to lie.
    place: PathBuf,
    /// Where it lies until then.
    path: PathBuf,
    is_armed: bool,
}

impl Partial {
    /// What is to lie at `path`, until then under a hidden name that no other process uses: several may write to one place.
    ///
    /// # Errors
    ///
    /// If the path has no file name.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::Error::from(io::ErrorKind::InvalidFilename))?;
        let name = format!(".{}{}", name.to_string_lossy(), unfinished_suffix());
        Ok(Self::under(path, folder_of(path).join(name)))
    }

    /// What is to lie at `path`, until then at `beside`, a path in the same file system: one process writes at a time, and whatever a
    /// killed one has left there makes way.
    pub fn under(path: &Path, beside: impl Into<PathBuf>) -> Self {
        Self { place: path.to_owned(), path: beside.into(), is_armed: true }
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a file, to be written and read.
    ///
    /// # Errors
    ///
    /// If it cannot be made, or if there is a link in its place: links are not followed.
    pub fn create(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW);
        options.open(&self.path).map_err(|error| {
            if self.path.is_symlink() {
                io::Error::other("it is a link, which is not followed")
            } else {
                error
            }
        })
    }

    /// Makes a link that leads to `target`.
    ///
    /// # Errors
    ///
    /// If there can be none.
    pub fn link_to(&self, target: &Path) -> io::Result<()> {
        fs::remove_file(&self.path).ok(); // of a process that was killed
        symlink(target, &self.path)
    }

    /// Brings it onto the disk with all that is in it, gives it its name, and brings the name onto the disk.
    ///
    /// # Errors
    ///
    /// If any of it fails. What had the name before is there still, unless only the last part failed, or it was a folder that another
    /// one was to replace.
    pub fn finish(mut self) -> io::Result<()> {
        sync(&self.path)?;
        if self.path.is_dir() && self.place.is_dir() {
            fs::remove_dir_all(&self.place)?; // a folder with something in it is not replaced by a rename
        }
        fs::rename(&self.path, &self.place)?;
        // What bears the other name from here on, if anything, is another writer's.
        self.is_armed = false;
        sync_folder(folder_of(&self.place))
    }

    /// Writes a whole file.
    ///
    /// # Errors
    ///
    /// As of [`create`](Self::create) and [`finish`](Self::finish), or if it cannot be written.
    pub fn write(self, contents: &[u8]) -> io::Result<()> {
        self.create()?.write_all(contents)?;
        self.finish()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.is_armed {
            // Nothing can be done about a failure here, and the name says that it is not finished.
            fs::remove_file(&self.path).or_else(|_| fs::remove_dir_all(&self.path)).ok();
        }
    }
}

/// Brings a file, or a folder with all that is in it, onto the disk.
fn sync(path: &Path) -> io::Result<()> {
    let kind = path.symlink_metadata()?.file_type();
    if kind.is_dir() {
        fs::read_dir(path)?.try_for_each(|entry| sync(&entry?.path()))?;
        sync_folder(path)
    } else if kind.is_file() {
        File::open(path)?.sync_all()
    } else {
        Ok(()) // a link is a name, and is on the disk with its folder
    }
}

/// Brings the names in a folder onto the disk, where its file system has such a thing.
///
/// Some have not, and say so with `EINVAL` or `ENOTSUP` (CIFS of older kernels, `DrvFs`, `vboxsf`): that is no failure.
///
/// # Errors
///
/// Where the folder cannot be opened, and any other failure to write its names.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    let synced = File::open(folder)?.sync_all();
    synced.or_else(|error| match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOTSUP) => Ok(()),
        _ => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        Partial::beside(&path).unwrap().write(b"old").unwrap();
        let partial = Partial::beside(&path).unwrap();
        partial.create().unwrap().write_all(b"half").unwrap();
        assert_eq!((count(folder.path()), fs::read(&path).unwrap()), (2, b"old".to_vec()));
        drop(partial);
        assert_eq!((count(folder.path()), fs::read(&path).unwrap()), (1, b"old".to_vec()));
    }

    #[test]
    fn folders_and_links_get_their_names_whole_as_files_do() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("x"), folder.path().join("latest"));
        for is_finished in [false, true] {
            let partial = Partial::under(&path, folder.path().join(".partial-x"));
            fs::create_dir(partial.path()).unwrap();
            fs::write(partial.path().join("file"), "x").unwrap();
            let leading = Partial::under(&link, folder.path().join("latest.new"));
            leading.link_to(Path::new("x")).unwrap();
            if is_finished {
                partial.finish().unwrap();
                leading.finish().unwrap();
            }
        }
        assert_eq!(fs::read(link.join("file")).unwrap(), b"x");
        assert_eq!(count(folder.path()), 2);
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, path) = (folder.path().join("target"), folder.path().join("x"));
        fs::write(&target, "precious").unwrap();
        let beside = folder.path().join("x.partial");
        symlink(&target, &beside).unwrap();
        let error = Partial::under(&path, &beside).write(b"new").unwrap_err();
        assert!(error.to_string().contains("is a link"), "{error}");
        Partial::under(&path, &beside).write(b"new").unwrap(); // the link that was in the way is gone
        assert_eq!(
            (fs::read(&target).unwrap(), fs::read(&path).unwrap()),
            (b"precious".to_vec(), b"new".to_vec())
        );
    }
}
