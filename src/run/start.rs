//! What a start means for the run that lies in its folder: to go on with it, to begin anew in its place, or nothing at all.

use anyhow::Result;
use toml::Table;

use super::{folder::RunFolder, length, manifest::Manifest, unattended::Unattended};
use crate::{
    checkpoint::{DataIdentity, State},
    config::{self, Config, DataConfig},
    data::Data,
};

/// What there is to a start, before data are opened.
#[derive(Debug)]
pub(crate) struct Start {
    /// The settings; an error where they contradict the run that lies there.
    pub(crate) config: Result<Config>,
    /// Of the run that lies there; none where there is none, or where a new one takes its place.
    pub(crate) manifest: Option<Manifest>,
    /// How the shards have changed, where that makes way for a new run.
    pub(crate) changes: Option<String>,
    /// Whether all is done that is asked for.
    pub(crate) is_over: bool,
}

impl Start {
    /// `saved` is the state of the checkpoint to go on from, where there is one.
    pub(crate) fn find(
        asked: &Table,
        unattended: &Unattended,
        saved: Option<&State>,
        folder: &RunFolder,
    ) -> Result<Self> {
        // Without a checkpoint it is of a run that lost nothing when it was killed, or everything since.
        let manifest = saved.map_or(Ok(None), |_| Manifest::read(&folder.manifest))?;
        let asked_for = saved.filter(|_| unattended.if_changed);
        let changes = asked_for.map_or(Ok(None), |saved| changes(asked, saved, manifest.as_ref()))?;
        // Settings of the run on the shards as they were bind no longer.
        let Some(saved) = saved.filter(|_| changes.is_none()) else {
            let config = length::of_new_run(asked);
            return Ok(Self { config, manifest: None, changes, is_over: false });
        };
        let mut asked = asked.clone();
        if unattended.if_changed {
            // What the next one is to begin with.
            asked
                .get_mut("train")
                .and_then(toml::Value::as_table_mut)
                .map(|train| train.remove("warm_start"));
        }
        let config = Config::resume(&Table::try_from(&saved.config)?, &asked);
        let config = config.and_then(|mut config| {
            length::settle(&mut config, saved, unattended.extend)?;
            Ok(config)
        });
        let is_longer = config.as_ref().is_ok_and(|config| config.train != saved.config.train);
        let is_over = unattended.if_changed
            && !is_longer
            && manifest.as_ref().is_some_and(|manifest| is_done(manifest, saved, unattended));
        Ok(Self { config, manifest, changes, is_over })
    }
}

/// What has changed since the run in the folder began.
fn changes(asked: &Table, saved: &State, manifest: Option<&Manifest>) -> Result<Option<String>> {
    let mut settings = Table::try_from(&saved.config)?;
    config::overlay(&mut settings, asked);
    let data: Option<DataConfig> = settings.remove("data").map(toml::Value::try_into).transpose()?;
    let data = data.unwrap_or_default();
    if let Some(manifest) = manifest {
        return manifest.changes(&data);
    }
    // Of a time before there were manifests, or damaged.
    let is_other = DataIdentity::of(&Data::open(&data)?.train) != saved.data;
    Ok(is_other.then(|| "the shards are others than at its start".to_owned()))
}

/// Whether the run is finished, and still has what it came to, and was promoted if that is asked for.
fn is_done(manifest: &Manifest, saved: &State, unattended: &Unattended) -> bool {
    let is_promoted = |folder| manifest.is_promoted(folder, &unattended.gate);
    manifest.finished.is_some()
        && saved.step >= manifest.steps
        && unattended.promote.as_deref().is_none_or(is_promoted)
}
