//! A run's folder and the files in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use serde_json::json;

use super::trainer::Broken;
use crate::{checkpoint::Checkpoints, data::Data, method::Views, usage};

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
    /// Creates the folder where there is none, and makes sure that it can be written.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let probe = path.join(".writable");
        fs::create_dir_all(path)
            .and_then(|()| fs::write(&probe, ""))
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|error| {
                usage!(
                    "cannot write to the run folder `{}`: {error}\n  hint: name another one with --out",
                    path.display()
                )
            })?;
        Ok(Self {
            path: path.to_owned(),
            config: path.join("config.toml"),
            metrics: path.join("metrics.jsonl"),
            bad_samples: path.join("bad-samples.jsonl"),
            checkpoints: Checkpoints::of(path),
        })
    }

    /// Writes down which samples broke a step; the error to end the run with.
    pub(super) fn write_broken_batch(&self, broken: &Broken, views: &Views, data: &Data) -> anyhow::Error {
        let path = self.path.join("broken-batch.json");
        let samples: Result<Vec<_>> =
            Vec::<i64>::try_from(&views.indices).map_err(anyhow::Error::from).and_then(|indices| {
                indices.into_iter().map(|index| Ok(data.train.locate(index as u64)?)).collect()
            });
        let written = samples.and_then(|samples| {
            let samples: Vec<_> = samples
                .iter()
                .map(|at| json!({"shard": &*at.shard, "offset": at.offset, "key": at.key}))
                .collect();
            let parts: serde_json::Map<_, _> = broken
                .parts
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value.to_string())))
                .collect();
            let text = serde_json::to_string_pretty(
                &json!({"step": broken.step, "loss": parts, "samples": samples}),
            )?;
            fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
        });
        let whereabouts = match written {
            Ok(()) => format!("its samples are listed in `{}`", path.display()),
            Err(error) => format!("its samples could not be listed: {error:#}"),
        };
        anyhow!(
            "the loss of step {} is not finite; {whereabouts}\n  hint: a lower --lr; the last checkpoint is from before",
            broken.step + 1
        )
    }
}
