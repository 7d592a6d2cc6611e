//! The files of one checkpoint: writing and reading.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{
    state::{STATE, State, content, sealed},
    tensors::{self, Named, hash},
};

/// The file of parameters and statistics.
pub(super) const MODEL: &str = "model.safetensors";
/// The file of the optimizer's moments.
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";

/// Writes the files of a checkpoint into a new folder, in place of an older one. They are not synced:
/// `Partial::finish` does that.
///
/// # Errors
///
/// If a file cannot be written.
pub(crate) fn write(partial: &Path, state: &State, model: &Named, optimizer: &Named) -> Result<()> {
    if partial.exists() {
        fs::remove_dir_all(partial)?;
    }
    fs::create_dir(partial)?; // a new folder contains no links
    let mut checksums = BTreeMap::new();
    for (name, named) in [(MODEL, model), (OPTIMIZER, optimizer)] {
        checksums.insert(name.to_owned(), tensors::write(&partial.join(name), named)?);
    }
    Ok(fs::write(partial.join(STATE), sealed(state, checksums)?)?)
}

/// A checkpoint in memory, whose checksums match.
#[derive(Debug)]
pub struct Loaded {
    /// The folder.
    pub path: PathBuf,
    /// The state.
    pub state: State,
    /// The checksum of the model file.
    pub checksum: String,
    pub(super) model: Vec<u8>,
    pub(super) optimizer: Vec<u8>,
}

impl Loaded {
    /// Reads a checkpoint folder.
    ///
    /// # Errors
    ///
    /// If a file is missing or does not match its checksum, or another version of the program wrote it.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path, |name| fs::read(path.join(name)))
            .with_context(|| format!("cannot read the checkpoint `{}`", path.display()))
    }

    /// Reads a checkpoint whose files are returned by `file` for their names.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
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

    /// Drops the optimizer's moments, which only training needs: they take twice the memory of the
    /// parameters.
    #[must_use]
    pub fn without_moments(self) -> Self {
        Self { optimizer: Vec::new(), ..self }
    }

    /// Returns the tensors of the model file.
    ///
    /// # Errors
    ///
    /// If it is not a safetensors file.
    pub fn model(&self) -> Result<safetensors::SafeTensors<'_>> {
        Ok(safetensors::SafeTensors::deserialize(&self.model)?)
    }

    /// Copies parameters and statistics into the tensors of `model`.
    ///
    /// # Errors
    ///
    /// If names, shapes or kinds differ.
    pub fn restore_model(&self, model: &Named) -> Result<()> {
        self.restore(&self.model, model, MODEL)
    }

    /// Copies the encoder alone into the tensors of `model`.
    ///
    /// # Errors
    ///
    /// If a tensor of the encoder is missing, or has another shape or kind.
    pub fn restore_encoder(&self, model: &Named) -> Result<()> {
        let encoder = model.iter().filter(|(name, _)| name.starts_with("encoder."));
        let encoder = encoder.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        tensors::restore_some(&self.model, &encoder)
            .with_context(|| format!("`{}`", self.path.join(MODEL).display()))
    }

    /// Copies the moments into the tensors of `optimizer`.
    ///
    /// # Errors
    ///
    /// If names, shapes or kinds differ.
    pub fn restore_optimizer(&self, optimizer: &Named) -> Result<()> {
        self.restore(&self.optimizer, optimizer, OPTIMIZER)
    }

    fn restore(&self, bytes: &[u8], named: &Named, file: &str) -> Result<()> {
        tensors::restore(bytes, named).with_context(|| format!("`{}`", self.path.join(file).display()))
    }
}
