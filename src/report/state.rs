//! Whether a run goes on, and how it ended.

use std::{fs, time::Duration};

use crate::run::{
    RunFolder,
    crash::CrashReport,
    history::{Event, Outcome},
    lock::Holder,
    manifest::Manifest,
};

/// The state of a run, as its files show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A process trains.
    Running,
    /// All steps are made.
    Finished,
    /// It was stopped, and can go on.
    Interrupted,
    /// Its process was killed, or the machine stopped; the same command goes on.
    Killed,
    /// An error ended it.
    Failed(String),
}

impl State {
    /// Returns the state in one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Killed => "killed",
            Self::Failed(_) => "failed",
        }
    }
}

/// A lock of another machine that has not been written to for so long is that of a process that was killed.
const SILENT: Duration = Duration::from_secs(600);

/// Finds the state of a run.
pub(super) fn state(folder: &RunFolder, manifest: Option<&Manifest>, history: &[Event]) -> State {
    let is_finished = manifest.is_some_and(|manifest| manifest.finished.is_some());
    let ended = match history.last() {
        Some(Event::End(ended)) => Some(ended),
        _ => None,
    };
    let lock = folder.path.join("run.lock");
    // The process that has noted an end still has the lock for a moment.
    if let Some(holder) = Holder::noted(&lock)
        && ended.is_none_or(|ended| ended.time < holder.start())
    {
        let is_fresh = || {
            let modified = fs::metadata(&lock).and_then(|metadata| metadata.modified());
            modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age < SILENT))
        };
        return if holder.is_here().unwrap_or_else(is_fresh) { State::Running } else { State::Killed };
    }
    match ended {
        Some(ended) if ended.outcome == Outcome::Failed => {
            State::Failed(ended.error.clone().unwrap_or_else(|| "an error ended it".to_owned()))
        }
        _ if is_finished => State::Finished,
        Some(_) => State::Interrupted,
        // A run of an earlier version of the program has no history.
        None => match CrashReport::read(&folder.crash) {
            Ok(crash) if folder.checkpoints.last_step().is_none_or(|saved| crash.step > saved) => {
                State::Failed(crash.what)
            }
            _ => State::Interrupted,
        },
    }
}
