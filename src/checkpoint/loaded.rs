//! The files of one checkpoint, written and read.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{
    state::{STATE, State, content, sealed},
    tensors::{self, Named, hash},
};

/// Parameters and statistics.
pub(super) const MODEL: &str = "model.safetensors";
/// Moments.
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";

/// Writes the files of a checkpoint into a new folder and syncs them.
pub(crate) fn write(partial: &Path, state: &State, model: &Named, optimizer: &Named) -> Result<()> {
    if partial.exists() {
        fs::remove_dir_all(partial)?;
    }
    fs::create_dir(partial)?; // anew, so that no links are in it
    let mut checksums = BTreeMap::new();
    for (name, named) in [(MODEL, model), (OPTIMIZER, optimizer)] {
        checksums.insert(name.to_owned(), tensors::write(&partial.join(name), named)?);
    }
    let mut file = File::create(partial.join(STATE))?;
    file.write_all(sealed(state, checksums)?.as_bytes())?;
    file.sync_all()?;
    Ok(shards::sync_folder(partial)?)
}

/// A checkpoint whose checksums hold.
#[derive(Debug)]
pub struct Loaded {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says.
    pub state: State,
    /// The checksum of its model.
    pub checksum: String,
    pub(super) model: Vec<u8>,
    pub(super) optimizer: Vec<u8>,
}

impl Loaded {
    /// Reads a checkpoint folder and checks it.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path, |name| fs::read(path.join(name)))
            .with_context(|| format!("cannot read the checkpoint `{}`", path.display()))
    }

    /// Checks a checkpoint whose files `file` gives by their names.
    pub fn read(path: &Path, file: impl Fn(&str) -> io::Result<Vec<u8>>) -> Result<Self> {
        let content = content(&file(STATE).context(STATE)?)?;
        let checked = |name: &str| -> Result<Vec<u8>> {
            let bytes = file(name).with_context(|| name.to_owned())?;
            ensure!(content.tensors.get(name) == Some(&hash(&bytes)), "{name} does not match its checksum");
            Ok(bytes)
        };
        let (model, optimizer) = (checked(MODEL)?, checked(OPTIMIZER)?);
        let checksum = hash(&model);
        Ok(Self { path: path.to_owned(), state: content.state, checksum, model, optimizer })
    }

    /// The same without the optimizer's moments, for what trains no further: they take twice the memory of the parameters.
    #[must_use]
    pub fn without_moments(self) -> Self {
        Self { optimizer: Vec::new(), ..self }
    }

    /// Its model's tensors as they are stored.
    pub fn model(&self) -> Result<safetensors::SafeTensors<'_>> {
        Ok(safetensors::SafeTensors::deserialize(&self.model)?)
    }

    /// Copies the parameters and statistics into the model's tensors of the same names and shapes.
    pub fn restore_model(&self, model: &Named) -> Result<()> {
        self.restore(&self.model, model, MODEL)
    }

    /// Copies the encoder alone into a model of the same size.
    pub fn restore_encoder(&self, model: &Named) -> Result<()> {
        let encoder = model.iter().filter(|(name, _)| name.starts_with("encoder."));
        let encoder = encoder.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        tensors::restore_some(&self.model, &encoder)
            .with_context(|| format!("`{}`", self.path.join(MODEL).display()))
    }

    /// Copies the moments into the optimizer's tensors of the same names and shapes.
    pub fn restore_optimizer(&self, optimizer: &Named) -> Result<()> {
        self.restore(&self.optimizer, optimizer, OPTIMIZER)
    }

    fn restore(&self, bytes: &[u8], named: &Named, file: &str) -> Result<()> {
        tensors::restore(bytes, named).with_context(|| format!("`{}`", self.path.join(file).display()))
    }
}
