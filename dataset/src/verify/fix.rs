//! Shards without what is lost on training, in another folder.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use serde::Serialize;
use shards::{Inspection, ShardName, Source};

use super::examine::{Examined, reason};
use crate::{
    misuse::usage,
    progress::{Progress, Stage},
    shard_folder::check_shard_folder,
};

/// Where cleaned shards go.
#[derive(Debug)]
pub(super) struct Target {
    folder: PathBuf,
    /// For each shard.
    paths: Vec<PathBuf>,
}

/// What [`Verification::fix`](super::Verification::fix) wrote.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Fixed {
    /// Folder of the cleaned shards.
    pub out: PathBuf,
    /// Shards that were written.
    pub shards: u64,
    /// Samples in them.
    pub samples: u64,
    /// Samples left out of shards that could be read.
    pub left_out: u64,
    /// Shards that were not written, since none of their samples can be used.
    pub shards_left_out: u64,
}

impl Target {
    /// Makes the folder and sees that the shards can be written there.
    ///
    /// # Errors
    /// The folder is that of an original, cannot be written, or holds shards of these names that are not to be replaced.
    pub(super) fn prepare(out: &Path, names: &[ShardName], force: bool) -> Result<Self> {
        check_shard_folder(out)?;
        fs::create_dir_all(out)
            .and_then(|()| tempfile::tempfile_in(out).map(drop))
            .map_err(|error| unwritable(out, &error))?;
        let folder = out.canonicalize().map_err(|error| unwritable(out, &error))?;
        let mut paths = Vec::with_capacity(names.len());
        let mut seen = HashMap::new();
        for name in names {
            let original = Path::new(name.as_str());
            let of_original = original.canonicalize().ok();
            if of_original.as_deref().and_then(Path::parent) == Some(&folder)
                || parent(original) == Some(folder.clone())
            {
                return Err(usage!(
                    "`{}` holds the originals, which are not written to\n  hint: another folder with --fix",
                    out.display()
                ));
            }
            if let Some(other) = seen.insert(name.base(), name) {
                return Err(usage!(
                    "`{other}` and `{name}` would have the same name in `{}`\n  hint: --fix one folder after the other",
                    out.display()
                ));
            }
            paths.push(out.join(name.base()));
        }
        match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
            Some(path) if !force => Err(usage!(
                "`{}` is there already\n  hint: an empty folder with --fix, or --force to replace shards of these names",
                path.display()
            )),
            _ => Ok(Self { folder: out.to_owned(), paths }),
        }
    }
}

fn unwritable(out: &Path, error: &std::io::Error) -> anyhow::Error {
    usage!("cannot write to `{}`: {error}\n  hint: a folder that can be written with --fix", out.display())
}

/// The folder that a path lies in, whatever links lead there.
fn parent(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder.canonicalize().ok()
}

/// Writes the shards, several at a time on the threads of the current pool. One of which nothing is left is not written.
///
/// # Errors
/// Some of a shard could not be read, though it is not damaged: nothing is written then. A shard was changed since it was verified,
/// or cannot be written: those that are under their names are complete.
pub(super) fn write(
    source: &dyn Source,
    shards: &[Examined],
    target: &Target,
    progress: &dyn Progress,
) -> Result<Fixed> {
    let kept = |shard: &Examined| shard.kept().count() as u64;
    shards.iter().try_for_each(|shard| check_read(shard.is_unread, &shard.name))?;
    if shards.iter().all(|shard| kept(shard) == 0) {
        bail!("no sample is left to be written\n  hint: the findings above say what is wrong with them");
    }
    let bytes = shards.iter().filter_map(|shard| shard.stamp).map(|stamp| stamp.size).sum();
    progress.begin(Stage::Mending, bytes);
    let work = shards.par_iter().zip(&target.paths).with_max_len(1);
    work.try_for_each(|(shard, path)| write_shard(source, shard, path, progress))?;
    progress.end();
    let mut fixed = Fixed { out: target.folder.clone(), ..Fixed::default() };
    for shard in shards {
        fixed.shards += u64::from(kept(shard) > 0);
        fixed.shards_left_out += u64::from(kept(shard) == 0);
        fixed.samples += kept(shard);
        fixed.left_out += shard.samples.len() as u64 - kept(shard);
    }
    Ok(fixed)
}

fn write_shard(source: &dyn Source, shard: &Examined, path: &Path, progress: &dyn Progress) -> Result<()> {
    if shard.kept().next().is_none() {
        tracing::warn!("`{}` is left out: nothing of it is to be kept", shard.name);
        return match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove the old `{}`", path.display()))
            }
            _ => Ok(()),
        };
    }
    let inspection = Inspection::open(source, &shard.name)?;
    check_read(inspection.is_unread(), &shard.name)?;
    ensure!(
        Some(inspection.stamp()) == shard.stamp && inspection.samples().len() == shard.samples.len(),
        "shard `{}` was changed after it was verified\n  hint: verify again when nobody writes to it",
        shard.name
    );
    inspection.copy(|number| shard.samples[number].is_kept, path).map_err(|error| match error {
        shards::Error::Write { .. } => unwritten(&error),
        error => error.into(),
    })?;
    shard.kept().for_each(|(_, sample)| progress.advance(1, sample.bytes.into()));
    Ok(())
}

fn check_read(is_unread: bool, name: &ShardName) -> Result<()> {
    ensure!(
        !is_unread,
        "shard `{name}` could not be read as a whole, and what was not read is not known to be bad: it is not written, nor are others \
         after it\n  hint: see to its permissions, its disk and the memory, then run the same command again, or leave it out of --shards"
    );
    Ok(())
}

/// A shard that cannot be written, with its cure.
fn unwritten(error: &shards::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "{}\n  hint: make room, or another folder with --fix; shards that are there already are complete",
        reason(error)
    )
}
