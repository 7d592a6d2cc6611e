//! A run's folder and the files in it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde_json::json;

use super::trainer::Broken;
use crate::{checkpoint::Checkpoints, data::Data, usage};

/// Where a run keeps what it makes.
#[derive(Debug)]
pub(super) struct RunFolder {
    pub(super) path: PathBuf,
    /// The resolved configuration.
    pub(super) config: PathBuf,
    /// One record a line.
    pub(super) metrics: PathBuf,
    /// One unusable sample a line.
    pub(super) bad_samples: PathBuf,
    pub(super) checkpoints: Checkpoints,
}

impl RunFolder {
    /// Names the files of a run folder, which need not exist.
    pub(super) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            config: path.join("config.toml"),
            metrics: path.join("metrics.jsonl"),
            bad_samples: path.join("bad-samples.jsonl"),
            checkpoints: Checkpoints::of(path),
        }
    }

    /// Creates the folder where there is none, and takes it for this process until the result is dropped.
    pub(super) fn take(&self) -> Result<File> {
        let path = self.path.display();
        let unwritable = |error| {
            usage!("cannot write to the run folder `{path}`: {error}\n  hint: name another one with --out")
        };
        let lock = fs::create_dir_all(&self.path).and_then(|()| File::create(self.path.join("run.lock")));
        let lock = lock.map_err(unwritable)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Err(usage!(
                "another process is training in `{path}`\n  hint: wait for it, or name another folder with --out"
            )),
            Err(error) => {
                tracing::warn!("cannot lock `{path}` against a second process: {error}");
                Ok(lock)
            }
            Ok(()) => Ok(lock),
        }
    }

    /// Writes down which samples broke a step; the error to end the run with.
    pub(super) fn write_broken_batch(&self, broken: &Broken, data: &Data) -> anyhow::Error {
        let path = self.path.join("broken-batch.json");
        let written = describe(broken, data).and_then(|text| {
            fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
        });
        let whereabouts = match written {
            Ok(()) => format!("its samples are listed in `{}`", path.display()),
            Err(error) => format!("its samples could not be listed: {error:#}"),
        };
        anyhow!("the loss of step {} is not finite; {whereabouts}\n  {DIVERGED}", broken.step)
    }
}

/// What cures a run whose numbers are no longer finite.
pub(super) const DIVERGED: &str =
    "hint: train anew with a lower --lr and another --out; the checkpoints of this run are from before";

/// The step, the parts of its loss and its samples as JSON.
fn describe(broken: &Broken, data: &Data) -> Result<String> {
    let mut samples = Vec::new();
    for index in &broken.indices {
        let at = data.train.locate(*index as u64)?;
        samples.push(json!({"shard": &*at.shard, "offset": at.offset, "key": at.key}));
    }
    let parts = broken.found.iter().map(|(name, value)| ((*name).to_owned(), json!(value.to_string())));
    let parts: serde_json::Map<_, _> = parts.collect();
    let broken = json!({"step": broken.step, "loss": parts, "samples": samples});
    Ok(serde_json::to_string_pretty(&broken)?)
}
