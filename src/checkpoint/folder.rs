//! The checkpoints of a run: saving, listing, retention, and the best one.

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
    hint::{self, WithHint},
};

/// The file that names the best checkpoint.
const BEST: &str = "best.json";

/// The checkpoints that stay when a new one is saved. The best one stays in any case.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// The number of latest checkpoints that stay.
    pub keep: usize,
    /// Checkpoints whose step is a multiple of this are kept as well; 0 keeps none.
    pub keep_every: u64,
}

/// The best checkpoint by a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The step of the checkpoint.
    pub step: u64,
    /// The name of the metric in records.
    pub metric: String,
    /// The value of the metric at that step.
    pub value: f64,
}

/// The checkpoints of a run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    pub(super) folder: PathBuf,
}

impl Checkpoints {
    /// Returns the checkpoints of a run folder, which need not exist.
    pub fn of(run: &Path) -> Self {
        Self { folder: run.join("checkpoints") }
    }

    /// Writes a checkpoint, which is complete on the disk when this returns, and removes those that need not
    /// stay.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
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

    /// Rewrites the length of the run in all earlier checkpoints and then in this one, as `state` has it,
    /// without changing tensors. The run then keeps its length from whichever checkpoint it is resumed.
    ///
    /// # Errors
    ///
    /// If a checkpoint cannot be rewritten.
    pub fn restate_length(&self, loaded: &Loaded, state: &State) -> Result<()> {
        for step in self.steps()?.into_iter().filter(|&step| step < state.step) {
            let earlier = Loaded::open(&self.folder.join(folder_name(step)));
            let Ok(earlier) = earlier else { continue }; // nothing resumes from a damaged one
            let mut config = earlier.state.config.clone();
            config.train.steps = state.config.train.steps;
            config.train.epochs = state.config.train.epochs;
            config.train.lengthened.clone_from(&state.config.train.lengthened);
            Self::restate(&earlier, &State { config, ..earlier.state.clone() })?;
        }
        Self::restate(loaded, state)
    }

    /// Replaces the state of a checkpoint, without changing tensors.
    fn restate(loaded: &Loaded, state: &State) -> Result<()> {
        let tensors = [(MODEL, &loaded.model), (OPTIMIZER, &loaded.optimizer)];
        let tensors = tensors.map(|(name, bytes)| (name.to_owned(), hash(bytes)));
        let (text, path) = (sealed(state, tensors.into())?, loaded.path.join(STATE));
        files::replace(&path, text.as_bytes()).or_cannot_write(&path)
    }

    /// Makes the folder of checkpoints, but not that of the run: if a user has removed the run folder,
    /// checkpoints without records would be of no use.
    fn make_folder(&self) -> Result<()> {
        match fs::create_dir(&self.folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Returns the steps of all checkpoints, ascending.
    ///
    /// # Errors
    ///
    /// If the folder exists and cannot be listed.
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

    /// Returns the step of the latest checkpoint, which may be damaged.
    pub fn last_step(&self) -> Option<u64> {
        self.steps().ok()?.pop()
    }

    /// Renames the checkpoints after `step`, which are damaged, so that the run can write them again.
    ///
    /// # Errors
    ///
    /// If one cannot be renamed.
    pub fn set_aside_after(&self, step: u64) -> Result<()> {
        for later in self.steps()?.into_iter().filter(|&later| later > step) {
            let name = folder_name(later);
            let aside = self.folder.join(format!("damaged-{name}"));
            let _ = fs::remove_dir_all(&aside); // from an earlier start
            files::move_to(&self.folder.join(&name), &aside)
                .with_context(|| format!("cannot set aside `{name}`"))?;
        }
        Ok(())
    }

    /// Returns the best checkpoint so far, if a metric was chosen and the checkpoint exists.
    pub fn best(&self) -> Option<Best> {
        let best: Best = serde_json::from_slice(&fs::read(self.folder.join(BEST)).ok()?).ok()?;
        self.folder.join(folder_name(best.step)).exists().then_some(best)
    }

    /// Returns the folder of the best checkpoint so far.
    pub fn best_path(&self) -> Option<PathBuf> {
        self.best().map(|best| self.folder.join(folder_name(best.step)))
    }

    /// Notes that the checkpoint of a step is the best so far.
    ///
    /// # Errors
    ///
    /// If that cannot be written.
    pub fn mark_best(&self, best: &Best) -> Result<()> {
        let written = serde_json::to_vec(best).map_err(io::Error::from);
        let written = written.and_then(|text| files::replace(&self.folder.join(BEST), &text));
        self.with_best_context(written)?;
        self.link_best()
    }

    /// Points the link `checkpoints/best` to the best checkpoint so far, if there is one.
    ///
    /// # Errors
    ///
    /// If the link cannot be made.
    pub fn link_best(&self) -> Result<()> {
        let (Some(best), link) = (self.best(), self.folder.join("best")) else { return Ok(()) };
        let target = PathBuf::from(folder_name(best.step));
        if fs::read_link(&link).is_ok_and(|leads_to| leads_to == target) {
            return Ok(());
        }
        let new = Partial::under(&link, self.folder.join("best.new"));
        self.with_best_context(new.link_to(&target).and_then(|()| new.finish()))
    }

    fn with_best_context(&self, result: io::Result<()>) -> Result<()> {
        result
            .with_context(|| format!("cannot note the best checkpoint in `{}`", self.folder.display()))
            .with_write_hint()
    }

    /// Removes checkpoints that need not stay, and unfinished ones of killed processes.
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

    /// Opens the latest undamaged checkpoint before `step`, if there is one.
    ///
    /// # Errors
    ///
    /// If the folder cannot be listed.
    pub fn before(&self, step: u64) -> Result<Option<Loaded>> {
        let mut earlier = self.steps()?.into_iter().rev().filter(|&other| other < step);
        Ok(earlier.find_map(|step| Loaded::open(&self.folder.join(folder_name(step))).ok()))
    }

    /// Reads the state of the latest checkpoint, without its tensors. Returns `None` if there is no
    /// checkpoint.
    ///
    /// # Errors
    ///
    /// If `state.json` of that checkpoint is damaged, even if an earlier checkpoint is not:
    /// [`latest`](Self::latest) finds that one.
    pub fn latest_state(&self) -> Result<Option<State>> {
        let Some(&step) = self.steps()?.last() else { return Ok(None) };
        let path = self.folder.join(folder_name(step));
        let sealed = fs::read(path.join(STATE)).context(STATE).and_then(|sealed| content(&sealed));
        let content = sealed.with_context(|| format!("cannot read the checkpoint `{}`", path.display()))?;
        Ok(Some(content.state))
    }

    /// Opens the latest undamaged checkpoint. Returns `None` if there is no checkpoint.
    ///
    /// # Errors
    ///
    /// If all checkpoints are damaged.
    pub fn latest(&self) -> Result<Option<Loaded>> {
        let steps = self.steps()?;
        for step in steps.iter().rev() {
            match Loaded::open(&self.folder.join(folder_name(*step))) {
                Ok(loaded) => return Ok(Some(loaded)),
                Err(error) => tracing::warn!("skipping a checkpoint: {}", hint::render(&error)),
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
