//! A run from its command to its end: what its folder contains decides how it begins.

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::{run::RunOutcome, session::Run};
use crate::{
    checkpoint::Loaded,
    config::Config,
    run::{
        folder::RunFolder,
        lock::RunLock,
        manifest::Manifest,
        promote,
        promotion::Promotions,
        start::Start,
        stop::Stop,
        unattended::{Deadline, Unattended},
    },
    stdout,
    world::World,
};

/// Trains with the settings `asked` (flags over file), and resumes the run that the folder contains. `world`
/// is this process's place among those that train together.
pub fn run(asked: &toml::Table, unattended: &Unattended, world: World) -> Result<RunOutcome> {
    let deadline = unattended.deadline()?;
    let folder = RunFolder::of(&Config::out(asked)?);
    folder.check(unattended.summary.as_deref())?;
    let stop = Stop::install(deadline.as_ref().map(|deadline| deadline.at), &folder.path)?;
    // An existing folder is read under its lock; a new one is created only after all checks have passed.
    let lock = world.on_lead(|| folder.take_existing())?.flatten();
    let latest = folder.checkpoints.latest()?;
    let state = latest.as_ref().map(|loaded| &loaded.state);
    let saved = state.map(|state| state.step);
    let Start { config, manifest, changes, is_over } = Start::find(asked, unattended, state, &folder)?;
    world.wait()?; // until all have read the folder, which the lead changes next
    let resumed = latest.filter(|_| changes.is_none());
    let config = config?;
    if is_over {
        return Ok(RunOutcome::Unchanged);
    }
    let mut run = Run::prepare(config, resumed.as_ref(), world)?;
    run.config.data.make_absolute(); // the run may be resumed and judged from any folder
    promote::check_gates(&run.config.run, &run.data, &unattended.gate)?;
    run.check_links(&folder)?;
    if resumed.is_none() {
        run.warm_start(&folder, changes.is_some())?;
    }
    if let Some(promotions) = &unattended.promote {
        world.on_lead(|| Promotions::of(promotions).prepare())?;
    }
    if run.is_to_stop(&stop)? {
        tracing::info!("stopped before the first step: nothing has changed");
        return Ok(RunOutcome::Stopped(stop.reason())); // before anything is made or moved
    }
    run.take_over(&folder, lock, saved, changes.as_deref())?;
    if let Some(loaded) = resumed {
        run.resume(&folder, &loaded)?;
    }
    let manifest = run.manifest(manifest);
    world.on_lead(|| run.note_beginning(&folder, &manifest, deadline.as_ref()))?;
    let outcome = run.train_catching_panics(&folder, &stop, unattended.quiet)?;
    world.on_lead(|| run.conclude(&folder, unattended, manifest, outcome))?;
    Ok(outcome)
}

impl Run {
    /// Locks the folder where this process leads, reports how the last process ended, and sets aside the run
    /// whose shards have changed. `saved` is the step of that run's last checkpoint.
    fn take_over(
        &mut self,
        folder: &RunFolder,
        lock: Option<RunLock>,
        saved: Option<u64>,
        changes: Option<&str>,
    ) -> Result<()> {
        let take = || match lock {
            Some(lock) => Ok(lock),
            None => folder.take_new(),
        };
        self.lock = self.world.on_lead(take)?;
        self.report_killed_process(folder, saved)?;
        if let Some(changes) = changes {
            self.world.on_lead(|| folder.set_aside())?;
            tracing::info!("{changes}: a new run begins");
        }
        Ok(())
    }

    /// Goes on from a checkpoint of this run.
    fn resume(&mut self, folder: &RunFolder, loaded: &Loaded) -> Result<()> {
        let saved = &loaded.state;
        self.world.on_lead(|| {
            folder.checkpoints.set_aside_after(saved.step)?;
            folder.checkpoints.link_best()
        })?;
        self.trainer.restore(loaded).context("cannot resume")?;
        (self.position, self.saved) = (saved.position, Some(saved.step));
        let length = |config: &Config| (config.train.steps, config.train.epochs);
        if length(&self.config) == length(&saved.config) {
            return Ok(());
        }
        // A later start that does not ask for a length keeps this one.
        let state = self.state(saved.step, self.position);
        self.world.on_lead(|| folder.checkpoints.restate_length(loaded, &state))?;
        tracing::info!(
            "the run becomes longer: past drops of the learning rate stay where they were, future drops move with the end of the run"
        );
        Ok(())
    }

    /// Returns the run's manifest; `before` is the one in its folder.
    fn manifest(&self, before: Option<Manifest>) -> Manifest {
        let mut manifest = before.unwrap_or_else(|| Manifest::new(&self.data, self.steps));
        manifest.steps = self.steps; // the run may have become longer
        if self.trainer.step_count() < self.steps {
            // The run is not finished, or its last checkpoint is damaged and the steps are made again.
            (manifest.finished, manifest.promotion) = (None, None);
        }
        manifest
    }

    /// Writes manifest and settings, logs the first line of the run and, for a new run, warns of enlarged
    /// images and long runs.
    fn note_beginning(
        &self,
        folder: &RunFolder,
        manifest: &Manifest,
        deadline: Option<&Deadline>,
    ) -> Result<()> {
        manifest.write(&folder.manifest)?;
        self.settings().write(&folder.config)?;
        self.announce(folder, deadline);
        if self.trainer.step_count() == 0 {
            self.look_ahead();
        }
        Ok(())
    }

    fn announce(&self, folder: &RunFolder, deadline: Option<&Deadline>) {
        let step = self.trainer.step_count();
        let standing = match step {
            0 => "run folder",
            _ if step >= self.steps => "already finished:",
            _ => "resuming",
        };
        let until = deadline.map_or_else(String::new, |Deadline { shown, .. }| format!(", until {shown}"));
        tracing::info!(
            "{}; {}; {}; {standing} `{}`, step {step} of {}{until}",
            self.data_in_words(),
            self.machine_in_words(),
            self.trainer.schedule(),
            folder.path.display(),
            self.steps
        );
        if let Some(complaint) = self.trainer.schedule().complaint().filter(|_| step < self.steps) {
            tracing::warn!("{complaint}");
        }
    }

    /// Promotes the run if it is finished, and prints where it stands.
    ///
    /// # Errors
    ///
    /// If the run is finished and does not pass its gates.
    fn conclude(
        &self,
        folder: &RunFolder,
        unattended: &Unattended,
        mut manifest: Manifest,
        outcome: RunOutcome,
    ) -> Result<()> {
        let is_finished = outcome == RunOutcome::Finished;
        if is_finished {
            manifest.finished.get_or_insert_with(Timestamp::now);
            promote::promote(folder, &self.config.run, &self.data, unattended, &mut manifest)?;
        }
        if !unattended.quiet {
            let standing = folder.standing();
            stdout::say(&standing.in_words())?;
            stdout::print(&serde_json::to_value(&standing)?)?;
        }
        match &manifest.promotion {
            Some(promotion) if is_finished && unattended.promote.is_some() => promote::check(promotion),
            _ => Ok(()),
        }
    }
}
