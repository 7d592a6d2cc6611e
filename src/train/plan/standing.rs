//! What lies in the run folder already.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;
use toml::Table;

use crate::{
    checkpoint::State,
    config::Config,
    train::{
        Run, RunFolder, Unattended, has_changed, is_over,
        manifest::Manifest,
        prepare::{check_identity, identity},
    },
};

/// Where a run stands.
#[derive(Debug, Serialize)]
pub(super) struct Standing {
    /// The run folder.
    pub(super) folder: PathBuf,
    /// The step of the latest checkpoint; 0 where there is none.
    pub(super) step: u64,
    /// Whether all steps are made; never so where it is refused.
    pub(super) is_finished: bool,
    /// Why a run with these settings would be refused there. The plan is then of a new one, in another folder.
    pub(super) refused: Option<String>,
    /// How the shards have changed since the run that lies there, where `--if-changed` is to set it aside. The plan is then of
    /// a new one, in its place.
    pub(super) changes: Option<String>,
    /// Whether a start would find nothing to do, by `--if-changed`.
    pub(super) is_unchanged: bool,
}

/// The configuration that a run would have, what the latest checkpoint in its folder says, and whether they agree. Tensors are
/// not read, nothing is locked.
pub(super) fn find(
    folder: &RunFolder,
    asked: &Table,
    start: &Unattended,
) -> Result<(Config, Option<State>, Standing)> {
    let mut standing = Standing {
        folder: folder.path.clone(),
        step: 0,
        is_finished: false,
        refused: None,
        changes: None,
        is_unchanged: false,
    };
    let saved = folder.checkpoints.latest_state().unwrap_or_else(|error| {
        standing.refused = Some(format!("{error:#}"));
        None
    });
    if let Some(state) = &saved {
        standing.step = state.step;
        let manifest = Manifest::read(&folder.manifest)?;
        standing.changes = has_changed(asked, start, saved.as_ref(), manifest.as_ref())?;
        if standing.changes.is_some() {
            return Ok((Config::resolve(asked)?, None, standing));
        }
        standing.is_unchanged =
            start.if_changed && manifest.is_some_and(|manifest| is_over(&manifest, start));
        match Config::resume(&Table::try_from(&state.config)?, asked) {
            Ok(config) => return Ok((config, saved, standing)),
            Err(error) => standing.refused = Some(error.to_string()),
        }
    }
    Ok((Config::resolve(asked)?, saved, standing))
}

impl Standing {
    /// Looks whether the run that lies there is on the same samples, and how far it is.
    pub(super) fn compare(&mut self, saved: Option<&State>, run: &mut Run) {
        let Some(state) = saved else { return };
        if let Err(error) = check_identity(state.data, identity(&run.data)) {
            self.refused.get_or_insert(error.to_string());
        }
        self.is_unchanged &= self.refused.is_none();
        if self.refused.is_none() {
            self.is_finished = state.step >= run.steps;
            run.position = state.position;
        }
    }

    /// Whether what is planned goes on with what lies there.
    pub(super) fn goes_on(&self) -> bool {
        self.step > 0 && self.refused.is_none() && self.changes.is_none()
    }

    /// Steps that need not be made again.
    pub(super) fn steps_made(&self) -> u64 {
        if self.goes_on() { self.step } else { 0 }
    }
}
