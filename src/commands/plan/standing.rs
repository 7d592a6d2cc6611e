//! The run that the run folder contains already.

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

/// The state of the run folder before the planned run.
#[derive(Debug, Default, Serialize)]
pub(super) struct Standing {
    /// The run folder.
    pub(super) folder: PathBuf,
    /// The step of the latest checkpoint; 0 if there is none.
    pub(super) step: u64,
    /// Whether all steps are made. A run that is refused is not finished.
    pub(super) is_finished: bool,
    /// The reason why the run folder refuses a run with these settings. The plan then describes a new run in
    /// another folder.
    pub(super) refused: Option<String>,
    /// The changes of the shards for which `--if-changed` sets the run in the folder aside. The plan then
    /// describes a new run.
    pub(super) changes: Option<String>,
    /// Whether a start with `--if-changed` would find nothing to do.
    pub(super) is_unchanged: bool,
}

/// The configuration of the planned run, and what the run folder contains.
pub(super) struct StartingPoint {
    /// The configuration that a run would have.
    pub(super) config: Config,
    /// The state of the checkpoint that a run would resume.
    pub(super) saved: Option<State>,
    /// The state of the run folder.
    pub(super) standing: Standing,
}

impl StartingPoint {
    /// Reads the run folder. Reads no tensors and locks nothing.
    pub(super) fn read(folder: &RunFolder, asked: &Table, unattended: &Unattended) -> Result<Self> {
        let mut standing = Standing { folder: folder.path.clone(), ..Standing::default() };
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
        Ok(Self { config, saved, standing })
    }
}

impl Standing {
    /// Compares the shards of the saved run with those of the planned one and moves the planned run to its
    /// position. Without a saved run, checks that a new one can begin.
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

    /// Returns whether the planned run resumes the run in the folder.
    pub(super) fn goes_on(&self) -> bool {
        self.step > 0 && self.refused.is_none() && self.changes.is_none()
    }

    /// Returns the number of steps that the planned run need not make.
    pub(super) fn steps_made(&self) -> u64 {
        if self.goes_on() { self.step } else { 0 }
    }
}
