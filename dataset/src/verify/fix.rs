//! Writes cleaned shards, without bad samples, to another folder.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde::Serialize;
use shards::{Inspection, ShardName, Source, index_path, write_index_beside};

use super::examine::Examined;
use crate::{
    error::{Error, FileError, Result, VerifyError},
    progress::{Progress, Stage},
    shard_folder::check_shard_folder,
};

/// The cleaned shards that [`Survey::clean`](super::Survey::clean) has written.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Fixed {
    /// The folder of the cleaned shards.
    pub out: PathBuf,
    /// The number of shards written.
    pub shards: u64,
    /// The number of samples in them.
    pub samples: u64,
    /// The number of bad samples, left out of shards that could be read.
    pub left_out: u64,
    /// The number of shards that were not written, since all of their samples are bad.
    pub shards_left_out: u64,
}

/// Makes the folder for cleaned shards and checks that they can be written there.
///
/// # Errors
/// The folder is that of an original, cannot be written, or has shards of these names while `force` is not set.
pub(super) fn prepare(out: &Path, names: &[ShardName], force: bool) -> Result<()> {
    check_shard_folder(out)?;
    let unwritable = |source| VerifyError::Folder { folder: out.to_owned(), source };
    fs::create_dir_all(out).and_then(|()| tempfile::tempfile_in(out).map(drop)).map_err(unwritable)?;
    let folder = out.canonicalize().map_err(unwritable)?;
    if names.iter().any(|name| lies_in(name, &folder)) {
        return Err(VerifyError::Originals { folder: out.to_owned() }.into());
    }
    let mut seen = HashMap::new();
    for name in names {
        if let Some(first) = seen.insert(name.base(), name) {
            let (first, second) = (first.shared(), name.shared());
            return Err(VerifyError::SameName { first, second, folder: out.to_owned() }.into());
        }
    }
    let paths = names.iter().map(|name| out.join(name.base()));
    match paths.into_iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) if !force => Err(VerifyError::Exists { path }.into()),
        _ => Ok(()),
    }
}

/// Returns whether a shard, or the file that it links to, lies in a folder.
fn lies_in(name: &ShardName, folder: &Path) -> bool {
    let shard = Path::new(name.as_str());
    let target = shard.canonicalize().ok();
    target.as_deref().and_then(Path::parent) == Some(folder) || parent(shard).as_deref() == Some(folder)
}

/// Returns the folder of a path, with links resolved.
fn parent(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder.canonicalize().ok()
}

/// Checks that the shards of a set can be cleaned.
///
/// # Errors
/// A shard could not be read completely, or all samples are bad.
pub(super) fn check(shards: &[Examined]) -> Result<()> {
    shards.iter().try_for_each(|shard| check_read(shard.is_unread, &shard.name))?;
    if shards.iter().all(|shard| shard.kept().next().is_none()) {
        return Err(VerifyError::NothingLeft.into());
    }
    Ok(())
}

/// Writes shards to a folder on the threads of the current pool, several at a time. A shard of only bad samples is
/// not written.
///
/// # Errors
/// A shard was changed since it was verified, or cannot be written. Shards that have their names are complete.
pub(super) fn write(
    source: &dyn Source,
    shards: &[&Examined],
    folder: &Path,
    progress: &dyn Progress,
) -> Result<()> {
    let bytes = shards.iter().filter_map(|shard| shard.stamp).map(|stamp| stamp.size).sum();
    progress.begin(Stage::Mending, bytes);
    let path = |shard: &Examined| folder.join(shard.name.base());
    let work = shards.par_iter().with_max_len(1);
    work.try_for_each(|shard| write_shard(source, shard, &path(shard), progress))?;
    progress.end();
    Ok(())
}

/// Counts the cleaned shards of a set, and names those that are left out.
pub(super) fn count(shards: &[Examined], folder: &Path) -> Fixed {
    let mut fixed = Fixed { out: folder.to_owned(), ..Fixed::default() };
    for shard in shards {
        let kept = shard.kept().count() as u64;
        if kept == 0 {
            tracing::warn!("`{}` is left out: all of its samples are bad", shard.name);
        }
        fixed.shards += u64::from(kept > 0);
        fixed.shards_left_out += u64::from(kept == 0);
        fixed.samples += kept;
        fixed.left_out += shard.samples.len() as u64 - kept;
    }
    fixed
}

fn write_shard(source: &dyn Source, shard: &Examined, path: &Path, progress: &dyn Progress) -> Result<()> {
    if shard.kept().next().is_none() {
        return remove_old(path);
    }
    let inspection = Inspection::open(source, &shard.name)?;
    check_read(inspection.is_unread(), &shard.name)?;
    let is_same =
        Some(inspection.stamp()) == shard.stamp && inspection.samples().len() == shard.samples.len();
    if !is_same {
        return Err(VerifyError::Changed { shard: shard.name.shared() }.into());
    }
    inspection.copy(|number| shard.samples[number].is_kept, path).map_err(|error| match error {
        shards::Error::Write { path, source } => VerifyError::Write { path, source }.into(),
        error => Error::from(error),
    })?;
    write_index_beside(path)?;
    shard.kept().for_each(|(_, sample)| progress.advance(1, sample.bytes.into()));
    Ok(())
}

/// Removes the shard of this name that an earlier call wrote.
fn remove_old(path: &Path) -> Result<()> {
    fs::remove_file(index_path(path)).ok();
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::writing("remove the old shard", path)(error).into())
        }
        _ => Ok(()),
    }
}

fn check_read(is_unread: bool, name: &ShardName) -> Result<(), VerifyError> {
    if is_unread { Err(VerifyError::Unread { shard: name.shared() }) } else { Ok(()) }
}
