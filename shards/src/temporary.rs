//! Files that are complete or not there.

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    io,
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

/// A file beside the one to be written, removed on drop unless disarmed.
#[derive(Debug)]
pub(crate) struct Temporary {
    pub(crate) path: PathBuf,
    is_armed: bool,
}

impl Temporary {
    pub(crate) fn beside(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::Error::from(io::ErrorKind::InvalidFilename))?;
        let name = format!(".{}{}", name.to_string_lossy(), unfinished_suffix());
        Ok(Self { path: folder_of(path).join(name), is_armed: true })
    }

    pub(crate) fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.is_armed {
            // Nothing can be done about a failure here, and the name says that it is temporary.
            fs::remove_file(&self.path).ok();
        }
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
    let synced = fs::File::open(folder)?.sync_all();
    synced.or_else(|error| match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOTSUP) => Ok(()),
        _ => Err(error),
    })
}
