//! The checkpoints of a run: which there are, which stay, which one is best.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{
    loaded::{Loaded, MODEL, OPTIMIZER, write},
    state::{STATE, State, content, sealed},
    tensors::{Named, hash},
};
use crate::{
    failure,
    files::{self, Partial},
    hint::WithHint,
};

/// Which checkpoint did best.
const BEST: &str = "best.json";

/// Which checkpoints stay.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The latest so many.
    pub keep: usize,
    /// And those whose step is a multiple of this; 0 for none.
    pub keep_every: u64,
}

/// The checkpoint that did best by a metric; it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// The metric's name in the records.
    pub metric: String,
    /// What it was then.
    pub value: f64,
}

/// The checkpoints of a run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    pub(super) folder: PathBuf,
}

impl Checkpoints {
    /// The checkpoints below a run folder.
    pub fn of(run: &Path) -> Self {
        Self { folder: run.join("checkpoints") }
    }

    /// Writes a checkpoint, complete on the disk when this returns, and removes those that need not stay.
    pub fn save(
        &self,
        state: &State,
        model: &Named,
        optimizer: &Named,
        retention: Retention,
    ) -> Result<PathBuf> {
        let path = self.folder.join(folder_name(state.step));
        let partial = Partial::under(&path, self.folder.join(format!(".partial-{}", state.step)));
        let written = self.make_folder().and_then(|()| write(partial.path(), state, model, optimizer));
        let written = written.and_then(|()| Ok(partial.finish()?));
        written
            .with_context(|| format!("cannot write the checkpoint `{}`", path.display()))
            .with_write_hint()?;
        self.prune(retention);
        Ok(path)
    }

    /// Lets all checkpoints before this one, and then it as well, say that their run is as long as the state's; their tensors stay.
    /// Whichever of them the run goes on from, it keeps its length.
    pub fn restate_length(&self, loaded: &Loaded, state: &State) -> Result<()> {
        for step in self.steps()?.into_iter().filter(|&step| step < state.step) {
            let earlier = Loaded::open(&self.folder.join(folder_name(step)));
            let Ok(earlier) = earlier else { continue }; // it is damaged, and nothing goes on from there
            let mut config = earlier.state.config.clone();
            config.train.steps = state.config.train.steps;
            config.train.epochs = state.config.train.epochs;
            config.train.lengthened.clone_from(&state.config.train.lengthened);
            Self::restate(&earlier, &State { config, ..earlier.state.clone() })?;
        }
        Self::restate(loaded, state)
    }

    /// Lets a checkpoint say something else of its run; its tensors stay.
    fn restate(loaded: &Loaded, state: &State) -> Result<()> {
        let tensors = [(MODEL, &loaded.model), (OPTIMIZER, &loaded.optimizer)];
        let tensors = tensors.map(|(name, bytes)| (name.to_owned(), hash(bytes)));
        let (text, path) = (sealed(state, tensors.into())?, loaded.path.join(STATE));
        files::replace(&path, text.as_bytes()).or_cannot_write(&path)
    }

    /// Makes the folder of the checkpoints, not that of the run: where that was taken away, the rest of it is gone as well, and
    /// a run that goes on would leave checkpoints without records.
    fn make_folder(&self) -> Result<()> {
        match fs::create_dir(&self.folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Steps of the checkpoints that are there, ascending.
    pub fn steps(&self) -> Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries
                .with_context(|| format!("cannot list `{}`", self.folder.display()))
                .with_hint(|| "check its permissions, or name another folder with --out")
                .with_code_of_place()?,
        };
        let step = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let step = name.to_str()?.strip_prefix("step-")?.parse().ok()?;
            (name.to_str()? == folder_name(step)).then_some(step)
        };
        let mut steps: Vec<u64> = entries.flatten().filter_map(step).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// The step of the latest checkpoint, whole or not.
    pub fn last_step(&self) -> Option<u64> {
        self.steps().ok()?.pop()
    }

    /// Renames the checkpoints after `step`, which are damaged, so that what the run makes anew takes their place.
    pub fn set_aside_after(&self, step: u64) -> Result<()> {
        for later in self.steps()?.into_iter().filter(|&later| later > step) {
            let name = folder_name(later);
            let aside = self.folder.join(format!("damaged-{name}"));
            let _ = fs::remove_dir_all(&aside); // of an earlier time
            files::move_to(&self.folder.join(&name), &aside)
                .with_context(|| format!("cannot set aside `{name}`"))?;
        }
        Ok(())
    }

    /// The best checkpoint so far, where a metric was chosen.
    pub fn best(&self) -> Option<Best> {
        let best: Best = serde_json::from_slice(&fs::read(self.folder.join(BEST)).ok()?).ok()?;
        self.folder.join(folder_name(best.step)).exists().then_some(best)
    }

    /// Where the best checkpoint so far lies.
    pub fn best_path(&self) -> Option<PathBuf> {
        self.best().map(|best| self.folder.join(folder_name(best.step)))
    }

    /// Notes that a step, which has a checkpoint, is the best so far.
    pub fn mark_best(&self, best: &Best) -> Result<()> {
        let written = serde_json::to_vec(best).map_err(io::Error::from);
        let written = written.and_then(|text| files::replace(&self.folder.join(BEST), &text));
        self.marked(written)?;
        self.link_best()
    }

    /// Lets `checkpoints/best` lead to the best checkpoint so far, if there is one.
    pub fn link_best(&self) -> Result<()> {
        let (Some(best), link) = (self.best(), self.folder.join("best")) else { return Ok(()) };
        let target = PathBuf::from(folder_name(best.step));
        if fs::read_link(&link).is_ok_and(|leads_to| leads_to == target) {
            return Ok(());
        }
        let new = Partial::under(&link, self.folder.join("best.new"));
        self.marked(new.link_to(&target).and_then(|()| new.finish()))
    }

    fn marked(&self, result: io::Result<()>) -> Result<()> {
        result
            .with_context(|| format!("cannot note the best checkpoint in `{}`", self.folder.display()))
            .with_write_hint()
    }

    /// Removes what need not stay, also what a killed process left half-written.
    fn prune(&self, retention: Retention) {
        let steps = self.steps().unwrap_or_default();
        let old = &steps[..steps.len().saturating_sub(retention.keep)];
        let best = self.best().map(|best| best.step);
        let is_kept = |step: u64| retention.keep_every > 0 && step.is_multiple_of(retention.keep_every);
        let stays = |step: u64| is_kept(step) || best == Some(step);
        for step in old.iter().filter(|&&step| !stays(step)) {
            self.remove(&folder_name(*step));
        }
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(".partial-") {
                self.remove(&entry.file_name().to_string_lossy());
            }
        }
    }

    fn remove(&self, name: &str) {
        let path = self.folder.join(name);
        if let Err(error) = fs::remove_dir_all(&path) {
            tracing::warn!("cannot remove the old checkpoint `{}`: {error}", path.display());
        }
    }

    /// The latest whole checkpoint of an earlier step.
    pub fn before(&self, step: u64) -> Result<Option<Loaded>> {
        let mut earlier = self.steps()?.into_iter().rev().filter(|&other| other < step);
        Ok(earlier.find_map(|step| Loaded::open(&self.folder.join(folder_name(step))).ok()))
    }

    /// What the latest checkpoint says of itself; its tensors are not read. None when there is none.
    ///
    /// # Errors
    /// If that checkpoint's `state.json` is damaged: an earlier one may be whole, which [`latest`](Self::latest) finds.
    pub fn latest_state(&self) -> Result<Option<State>> {
        let Some(&step) = self.steps()?.last() else { return Ok(None) };
        let path = self.folder.join(folder_name(step));
        let sealed = fs::read(path.join(STATE)).context(STATE).and_then(|sealed| content(&sealed));
        let content = sealed.with_context(|| format!("cannot read the checkpoint `{}`", path.display()))?;
        Ok(Some(content.state))
    }

    /// The latest checkpoint that is whole: none when there is none at all, an error when all are damaged.
    pub fn latest(&self) -> Result<Option<Loaded>> {
        let steps = self.steps()?;
        for step in steps.iter().rev() {
            match Loaded::open(&self.folder.join(folder_name(*step))) {
                Ok(loaded) => return Ok(Some(loaded)),
                Err(error) => tracing::warn!("skipping a checkpoint: {error:#}"),
            }
        }
        if steps.is_empty() {
            return Ok(None);
        }
        Err(failure!(
            "no checkpoint in `{}` can be read, for the reasons above", self.folder.display();
            "restore one from a copy, or move the folder away and train a new run"
        ))
    }
}

fn folder_name(step: u64) -> String {
    format!("step-{step:08}")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
