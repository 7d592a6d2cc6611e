//! Files, folders and links that appear under their names only when they are complete.

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

/// Returns the suffix of the names of files that this process has not finished.
///
/// It contains a random number besides the process id: processes in two containers that write to one folder
/// may share the id.
pub fn unfinished_suffix() -> &'static str {
    static SUFFIX: LazyLock<String> = LazyLock::new(|| {
        let token = RandomState::new().hash_one(process::id()); // seeded by the system for each process
        format!(".{}-{token:016x}.tmp", process::id())
    });
    &SUFFIX
}

/// A file, folder or link that is written under a temporary name, and renamed when it is complete and synced.
///
/// Dropped before [`finish`](Self::finish), it is removed, and an earlier file of the name stays.
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
#[must_use = "dropping it removes the file"]
pub struct Partial {
    /// The final path.
    place: PathBuf,
    /// The temporary path.
    path: PathBuf,
    is_armed: bool,
}

impl Partial {
    /// Chooses a hidden temporary name beside `path` that no other process uses: several may write to one
    /// folder.
    ///
    /// # Errors
    ///
    /// The path has no file name.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::Error::from(io::ErrorKind::InvalidFilename))?;
        let name = format!(".{}{}", name.to_string_lossy(), unfinished_suffix());
        Ok(Self::under(path, folder_of(path).join(name)))
    }

    /// Chooses `beside` as the temporary path, in the same file system as `path`. Only one process may write
    /// at a time; leftovers of a killed process are overwritten.
    pub fn under(path: &Path, beside: impl Into<PathBuf>) -> Self {
        Self { place: path.to_owned(), path: beside.into(), is_armed: true }
    }

    /// Returns the temporary path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the file, open for writing and reading.
    ///
    /// # Errors
    ///
    /// The file cannot be created, or its temporary path is a link: links are not followed.
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

    /// Creates a symbolic link to `target`.
    ///
    /// # Errors
    ///
    /// The link cannot be created.
    pub fn link_to(&self, target: &Path) -> io::Result<()> {
        fs::remove_file(&self.path).ok(); // left by a killed process
        symlink(target, &self.path)
    }

    /// Syncs the file, or the folder with everything in it, renames it to its final path, and syncs the name.
    ///
    /// # Errors
    ///
    /// One of the steps failed. An earlier file of the name is still there, unless only the last step failed.
    /// An earlier folder is removed before the rename.
    pub fn finish(mut self) -> io::Result<()> {
        sync(&self.path)?;
        if self.path.is_dir() && self.place.is_dir() {
            fs::remove_dir_all(&self.place)?; // a rename does not replace a folder that is not empty
        }
        fs::rename(&self.path, &self.place)?;
        // From here on, a file with the temporary name would belong to another writer.
        self.is_armed = false;
        sync_folder(folder_of(&self.place))
    }

    /// Writes `contents` to the file and finishes it.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create) and [`finish`](Self::finish), or `contents` cannot be written.
    pub fn write(self, contents: &[u8]) -> io::Result<()> {
        self.create()?.write_all(contents)?;
        self.finish()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.is_armed {
            // A failure has no consequences: the name says that the file is unfinished.
            fs::remove_file(&self.path).or_else(|_| fs::remove_dir_all(&self.path)).ok();
        }
    }
}

/// Syncs a file, or a folder with everything in it.
fn sync(path: &Path) -> io::Result<()> {
    let kind = path.symlink_metadata()?.file_type();
    if kind.is_dir() {
        fs::read_dir(path)?.try_for_each(|entry| sync(&entry?.path()))?;
        sync_folder(path)
    } else if kind.is_file() {
        File::open(path)?.sync_all()
    } else {
        Ok(()) // a link has no data, and its name is synced with its folder
    }
}

/// Syncs the names in a folder, if its file system supports that.
///
/// File systems that do not (CIFS of older kernels, `DrvFs`, `vboxsf`) return `EINVAL` or `ENOTSUP`, which is
/// not treated as an error.
///
/// # Errors
///
/// The folder cannot be opened, or its names cannot be written.
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
    fn an_unfinished_file_leaves_the_earlier_one() {
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
    fn folders_and_links_are_renamed_when_complete_like_files() {
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
    fn a_link_at_the_temporary_path_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, path) = (folder.path().join("target"), folder.path().join("x"));
        fs::write(&target, "precious").unwrap();
        let beside = folder.path().join("x.partial");
        symlink(&target, &beside).unwrap();
        let error = Partial::under(&path, &beside).write(b"new").unwrap_err();
        assert!(error.to_string().contains("is a link"), "{error}");
        Partial::under(&path, &beside).write(b"new").unwrap(); // the failed attempt removed the link
        assert_eq!(
            (fs::read(&target).unwrap(), fs::read(&path).unwrap()),
            (b"precious".to_vec(), b"new".to_vec())
        );
    }
}
