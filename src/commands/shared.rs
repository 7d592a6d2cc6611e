//! Whether a folder is the same one for all processes.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{hint::WithHint, usage, world::World};

/// Returns for each process, by rank, whether the folder is that of the lead. It must exist on the lead, which writes a
/// file to it for a moment, unless there is a single process.
///
/// # Errors
///
/// If the lead cannot write to the folder, or another process is lost.
pub(super) fn is_same(folder: &Path, world: World) -> Result<Vec<bool>> {
    if !world.has_others() {
        return Ok(vec![true]);
    }
    let mut trial = None;
    let name = world.from_lead(|| {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(".shared-").rand_bytes(16).suffix(shards::unfinished_suffix());
        let file = builder.tempfile_in(folder);
        let file =
            file.with_context(|| format!("cannot write to `{}`", folder.display())).with_write_hint()?;
        let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        trial = Some(file);
        Ok(name)
    })?;
    world.every(&folder.join(name).exists())
}

/// Checks that a folder to which several processes write is the same one for all of them.
///
/// # Errors
///
/// If it is not, with the name of the first process that sees another one; or if another process is lost.
pub(super) fn check(folder: &Path, world: World) -> Result<()> {
    let is_same = is_same(folder, world)?;
    let check = || match is_same.iter().position(|is_same| !is_same) {
        None => Ok(()),
        Some(rank) => Err(usage!(
            "all processes write to `{}`, but {} does not see what the lead writes there", folder.display(), world.members()[rank];
            "name a folder that all machines share"
        )),
    };
    world.from_lead(check)
}
