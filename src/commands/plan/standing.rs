//! What lies in the run folder already.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;
use toml::Table;

use crate::{
    checkpoint::{DataIdentity, State},
    config::Config,
    hint,
    run::{folder::RunFolder, length, start::Start, unattended::Unattended},
    train::Run,
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

/// The configuration that a run would have, what the latest checkpoint in its folder says, and whether they agree. Its
/// tensors are not read, nothing is locked.
pub(super) fn find(
    folder: &RunFolder,
    asked: &Table,
    unattended: &Unattended,
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
        standing.refused = Some(hint::render(&error));
        None
    });
    if let Err(error) = folder.check(unattended.summary.as_deref()) {
        standing.refused = Some(hint::render(&error));
    }
    standing.step = saved.as_ref().map_or(0, |state| state.step);
    let start = Start::find(asked, unattended, saved.as_ref(), folder)?;
    (standing.changes, standing.is_unchanged) = (start.changes, start.is_over);
    let saved = saved.filter(|_| standing.changes.is_none());
    let config = match start.config {
        Err(error) if saved.is_some() => {
            standing.refused = Some(hint::render(&error));
            length::of_new_run(asked)?
        }
        config => config?,
    };
    Ok((config, saved, standing))
}

impl Standing {
    /// Looks whether the run that lies there is on the same samples, and how far it is; or whether a new one can begin.
    pub(super) fn compare(&mut self, saved: Option<&State>, folder: &RunFolder, run: &mut Run) {
        let Some(state) = saved else {
            let begun = run.warm_start(folder, self.changes.is_some());
            self.refused = self.refused.take().or_else(|| begun.err().map(|error| hint::render(&error)));
            return;
        };
        if let Err(error) = state.data.check(DataIdentity::of(&run.data.train)) {
            self.refused.get_or_insert(hint::render(&error));
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
