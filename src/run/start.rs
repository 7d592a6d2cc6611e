//! Decides what a start does: resume the run in the folder, replace it by a new run, or nothing.

use anyhow::Result;
use toml::Table;

use super::{folder::RunFolder, length, manifest::Manifest, unattended::Unattended};
use crate::{
    checkpoint::{DataIdentity, State},
    config::{self, Config, DataConfig},
    data::Data,
};

/// The effect of a start, decided before data are opened.
#[derive(Debug)]
pub(crate) struct Start {
    /// The settings, or an error if they contradict the run in the folder.
    pub(crate) config: Result<Config>,
    /// The manifest of the run that goes on; none of a new run.
    pub(crate) manifest: Option<Manifest>,
    /// How the shards have changed, if a new run begins for that reason.
    pub(crate) changes: Option<String>,
    /// Whether everything that is asked for is done already.
    pub(crate) is_over: bool,
}

impl Start {
    /// Compares the settings `asked` with the run in the folder; `saved` is the state of its latest
    /// checkpoint.
    ///
    /// # Errors
    ///
    /// If the files of the run, or the shards, cannot be read.
    pub(crate) fn find(
        asked: &Table,
        unattended: &Unattended,
        saved: Option<&State>,
        folder: &RunFolder,
    ) -> Result<Self> {
        // Without a checkpoint, a manifest is that of a run that lost all its steps.
        let Some(saved) = saved else { return Ok(Self::new_run(asked, None)) };
        let manifest = Manifest::read(&folder.manifest)?;
        let changes = if unattended.if_changed { changes(asked, saved, manifest.as_ref())? } else { None };
        if changes.is_some() {
            return Ok(Self::new_run(asked, changes)); // whose settings may differ
        }
        let config = resumed_config(asked, unattended, saved)?;
        let is_longer = config.as_ref().is_ok_and(|config| config.train != saved.config.train);
        let is_over = unattended.if_changed
            && !is_longer
            && manifest.as_ref().is_some_and(|manifest| is_done(manifest, saved, unattended));
        Ok(Self { config, manifest, changes: None, is_over })
    }

    fn new_run(asked: &Table, changes: Option<String>) -> Self {
        Self { config: length::of_new_run(asked), manifest: None, changes, is_over: false }
    }
}

/// Merges the settings `asked` into those of the run that goes on. The inner error says what contradicts it.
fn resumed_config(asked: &Table, unattended: &Unattended, saved: &State) -> Result<Result<Config>> {
    let mut asked = asked.clone();
    if unattended.if_changed
        && let Some(train) = asked.get_mut("train").and_then(toml::Value::as_table_mut)
    {
        train.remove("warm_start"); // for the next run on changed shards
    }
    let settings = Table::try_from(&saved.config)?;
    Ok(Config::resume(&settings, &asked).and_then(|mut config| {
        length::settle(&mut config, saved, unattended.extend)?;
        Ok(config)
    }))
}

/// Describes how the shards have changed since the run in the folder began.
fn changes(asked: &Table, saved: &State, manifest: Option<&Manifest>) -> Result<Option<String>> {
    let mut settings = Table::try_from(&saved.config)?;
    config::overlay(&mut settings, asked);
    let data: Option<DataConfig> = settings.remove("data").map(toml::Value::try_into).transpose()?;
    let data = data.unwrap_or_default();
    if let Some(manifest) = manifest {
        return manifest.changes(&data);
    }
    // The manifest is damaged, or an earlier version of the program wrote none.
    let is_other = DataIdentity::of(&Data::open(&data)?.train) != saved.data;
    Ok(is_other.then(|| "the shards are not those that the run began with".to_owned()))
}

/// Returns whether the run is finished, has its last checkpoint, and was promoted if that is asked for.
fn is_done(manifest: &Manifest, saved: &State, unattended: &Unattended) -> bool {
    let is_promoted = |folder| manifest.is_promoted(folder, &unattended.gate);
    manifest.finished.is_some()
        && saved.step >= manifest.steps
        && unattended.promote.as_deref().is_none_or(is_promoted)
}
