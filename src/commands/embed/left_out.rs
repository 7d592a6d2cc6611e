//! The list of a shard's bad samples, which have no row, in a file beside the features.

use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use pipeline::BadSample;
use serde_json::Value;

use crate::metrics;
use crate::{files::Partial, hint::WithHint};

/// Returns the path of the list: `NAME.left-out.jsonl` for `NAME.parquet`. The file only exists if the shard
/// has bad samples.
fn list(file: &Path) -> PathBuf {
    file.with_extension("left-out.jsonl")
}

/// Writes the list of a shard, or removes it if no sample is bad.
pub(super) fn write(file: &Path, samples: &[BadSample]) -> Result<()> {
    let path = list(file);
    if samples.is_empty() {
        return remove(&path);
    }
    let write = || -> Result<()> {
        let partial = Partial::beside(&path)?;
        let mut lines = BufWriter::new(partial.create()?);
        for sample in samples {
            writeln!(lines, "{}", serde_json::to_string(sample)?)?;
        }
        lines.flush()?;
        Ok(partial.finish()?)
    };
    write().or_cannot_write(&path)
}

/// Reads the list of a shard.
pub(super) fn read(file: &Path) -> Result<Vec<Value>> {
    metrics::read_lines(&list(file))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}
