//! Outcomes of comparisons that this machine has made before.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use torchkit::{Driver, Libtorch, Monitor};

use super::difference::Difference;
use crate::{servers, train::Run};

/// What the outcome of a comparison depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Key {
    program: String,
    libtorch: Option<String>,
    gpu: Option<String>,
    driver: Option<String>,
    precision: String,
    batch_size: usize,
    processes: usize,
    accumulate: usize,
    checkpoint_blocks: bool,
    method: String,
    encoder: String,
    /// The sides of the views in pixels.
    views: Vec<u32>,
}

/// The content of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    key: Key,
    differences: Vec<Difference>,
}

impl Key {
    pub(super) fn of(run: &Run) -> Self {
        Self {
            program: program(),
            libtorch: Libtorch::detect().ok().and_then(|libtorch| libtorch.version),
            gpu: Monitor::of(run.device).and_then(|monitor| Some(monitor.memory()?.name)),
            driver: Driver::detect().ok().map(|driver| driver.version),
            precision: run.trainer.network().precision().to_string(),
            batch_size: run.batch_size,
            processes: run.world.size(),
            accumulate: run.config.train.accumulate,
            checkpoint_blocks: run.config.train.checkpoint_blocks,
            method: format!("{:?}", run.config.method),
            encoder: format!("{:?}", run.config.encoder),
            views: run.config.training_set(0).views,
        }
    }

    /// Returns the outcome that a file has for this key.
    pub(super) fn read(&self) -> Option<Vec<Difference>> {
        let known: Known = serde_json::from_str(&fs::read_to_string(self.path()?).ok()?).ok()?;
        (known.key == *self).then_some(known.differences)
    }

    /// Writes the outcome for later runs. Without a folder for it, they compare again.
    pub(super) fn write(&self, differences: &[Difference]) {
        let Some(path) = self.path() else { return };
        let known = Known { key: self.clone(), differences: differences.to_vec() };
        let written = || -> anyhow::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            Ok(crate::files::replace(&path, &serde_json::to_vec_pretty(&known)?)?)
        };
        if let Err(error) = written() {
            tracing::debug!("the comparison of fused pieces is not kept: {error:#}");
        }
    }

    fn path(&self) -> Option<PathBuf> {
        self.gpu.as_ref()?; // another GPU may be in its place
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(self).ok()?.hash(&mut hasher);
        Some(servers::cache_folder()?.join("fused").join(format!("{:016x}.json", hasher.finish())))
    }
}

/// Returns the version of the program, with the size and the time of its file: another build compares again.
fn program() -> String {
    let file = env::current_exe().and_then(fs::metadata);
    let built = file.and_then(|file| Ok((file.len(), file.modified()?)));
    format!("{} {:?}", env!("CARGO_PKG_VERSION"), built.ok())
}
