//! Event files of the records in `metrics.jsonl`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{board::TensorBoard, file};
use crate::{hint::WithHint, metrics::Record, usage};

/// What the names of these files end with.
const SUFFIX: &str = ".from-records";

/// Writes records into a new event file in a folder, and removes the event file of an earlier call, so that the folder
/// shows each number once. `config` has the settings of the run as TOML. Returns the path of the file.
///
/// # Errors
///
/// With a usage error if the folder has event files of a process that trained with `--tensorboard`, or other files.
/// If a file cannot be written; the earlier one stays then.
pub fn write(folder: &Path, config: String, records: &[Record]) -> Result<PathBuf> {
    let earlier = earlier(folder)?;
    if records.is_empty() {
        return Err(usage!("the run has no records yet"; "wait for its first record (--log-every)"));
    }
    let mut board = TensorBoard::named(folder, SUFFIX, config);
    let written = records.iter().try_for_each(|record| board.record(record));
    let path = board.path().map(Path::to_owned);
    if let (Err(_), Some(path)) = (&written, &path) {
        let _ = fs::remove_file(path);
    }
    written?;
    for earlier in earlier {
        fs::remove_file(&earlier).with_context(|| format!("cannot remove `{}`", earlier.display()))?;
    }
    path.context("the event file has no path")
}

/// Returns the paths of the files of earlier calls in a folder, which must not contain any other files.
fn earlier(folder: &Path) -> Result<Vec<PathBuf>> {
    let shown = folder.display();
    let names = file::names(folder)
        .with_context(|| format!("cannot read `{shown}`"))
        .with_hint(|| "check its permissions, or name another folder with --out")?;
    if names.iter().any(|name| !name.ends_with(SUFFIX)) {
        return Err(usage!(
            "`{shown}` has event files already, of a training with --tensorboard or of another program";
            "open them with tensorboard --logdir, or name another folder with --out"
        ));
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}
