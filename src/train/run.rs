//! The training loop: from what was asked for to how the run ended.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use shards::ShardSet;

use super::{
    crash::{Crash, DIVERGED},
    log::Log,
    promote,
    session::Run,
    stop::{Doing, Stop, Why},
};
use crate::{
    checkpoint::Retention,
    config::{Config, TrainConfig},
    device, failure,
    feed::{Feed, Staged},
    run::{
        bad_samples::BadSamples,
        folder::RunFolder,
        manifest::Manifest,
        promotion::Promotions,
        start::Start,
        unattended::{Deadline, Unattended},
    },
    stdout,
};

/// Steps after which the numbers are looked at, if not earlier for a record or a checkpoint.
const CHECK_EVERY: u64 = 100;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All steps are made.
    Finished,
    /// It was finished before, and no shard has changed since.
    Unchanged,
    /// It ends early; it is saved.
    Early(Why),
}

/// Trains as `asked` (flags over file), resuming what lies in the run folder.
pub fn run(asked: &toml::Table, unattended: &Unattended) -> Result<Ended> {
    let deadline = unattended.deadline()?;
    let folder = RunFolder::of(&Config::out(asked)?);
    folder.check(unattended.summary.as_deref())?;
    let stop = Stop::install(deadline.as_ref().map(|deadline| deadline.at), &folder.path)?;
    // What lies there is read under the lock; a new folder is made only when nothing can be refused any more.
    let early = folder.path.is_dir().then(|| folder.take()).transpose()?;
    folder.finish_setting_aside()?;
    let mut resumed = folder.checkpoints.latest()?;
    let state = resumed.as_ref().map(|loaded| &loaded.state);
    let saved = state.map(|state| state.step);
    let Start { config, manifest, changes, is_over } = Start::find(asked, unattended, state, &folder)?;
    resumed = resumed.filter(|_| changes.is_none());
    let config = config?;
    if is_over {
        return Ok(Ended::Unchanged);
    }
    let mut run = Run::prepare(config, resumed.as_ref())?;
    run.config.data.make_absolute(); // the run may be resumed and judged from any folder
    promote::check_gates(&run, &unattended.gate)?;
    run.check_links(&folder)?;
    if resumed.is_none() {
        run.begin(&folder, changes.is_some())?;
    }
    unattended.promote.as_deref().map_or(Ok(()), |promotions| Promotions::of(promotions).prepare())?;
    if stop.requested(run.closing_time()) {
        tracing::info!("ended before a step was made: nothing has changed");
        return Ok(Ended::Early(stop.why())); // before anything is made, or makes way
    }
    run.lock = Some(early.map_or_else(|| folder.take_new(), Ok)?);
    run.tell_of_killed_process(&folder, saved)?;
    if let Some(changes) = changes {
        folder.set_aside()?;
        tracing::info!("{changes}: a new run begins");
    }
    if let Some(loaded) = &resumed {
        run.resume(&folder, loaded)?;
    }
    let mut manifest = run.manifest(manifest);
    manifest.write(&folder.manifest)?;
    run.settings().write(&folder.config)?;
    run.announce(&folder, deadline.as_ref());
    if run.trainer.step_count() == 0 {
        run.look_ahead()?;
    }
    let ended = run.train_or_tell(&folder, &stop, unattended.quiet)?;
    if ended == Ended::Finished && run.trainer.world().is_lead() {
        manifest.finished.get_or_insert_with(Timestamp::now);
        run.promote(&folder, unattended, &mut manifest)?;
    }
    conclude(&folder, unattended, &manifest, ended)
}

/// Says what the run came to; an error where it is finished and did not pass its gates.
fn conclude(folder: &RunFolder, unattended: &Unattended, manifest: &Manifest, ended: Ended) -> Result<Ended> {
    if !unattended.quiet {
        let standing = folder.standing();
        stdout::say(&standing.in_words())?;
        stdout::print(&serde_json::to_value(&standing)?)?;
    }
    let promotion = manifest.promotion.as_ref();
    let promotion = promotion.filter(|_| ended == Ended::Finished && unattended.promote.is_some());
    promotion.map_or(Ok(ended), |promotion| promote::check(promotion).map(|()| ended))
}

impl Run {
    /// What is noted of the run in its folder; `before` is what was noted of it so far.
    fn manifest(&self, before: Option<Manifest>) -> Manifest {
        let mut manifest = before.unwrap_or_else(|| Manifest::new(&self.data, self.steps));
        manifest.steps = self.steps; // it may have become longer
        if self.trainer.step_count() < self.steps {
            // Where the last checkpoint is damaged, what it came to is to be made again.
            (manifest.finished, manifest.promotion) = (None, None);
        }
        manifest
    }

    fn announce(&self, folder: &RunFolder, deadline: Option<&Deadline>) {
        let (samples, labelled, step) =
            (self.data.train.len(), self.data.train.labelled(), self.trainer.step_count());
        let classes = match self.data.classes {
            None => "no labels".to_owned(),
            Some(classes) if labelled < samples => format!("{labelled} labelled, classes: {classes}"),
            Some(classes) => format!("classes: {classes}"),
        };
        let standing = match step {
            0 => "run folder",
            _ if step >= self.steps => "already finished:",
            _ => "resuming",
        };
        let until = deadline.map_or_else(String::new, |Deadline { shown, .. }| format!(", until {shown}"));
        tracing::info!(
            "{samples} samples ({classes}), shards: {}; {}; {}; {standing} `{}`, step {step} of {}{until}",
            self.data.train.shards().len(),
            self.means(),
            self.trainer.schedule(),
            folder.path.display(),
            self.steps
        );
        if let Some(complaint) = self.trainer.schedule().complaint().filter(|_| step < self.steps) {
            tracing::warn!("{complaint}");
        }
    }

    /// Trains; what ends it in disorder leaves a crash folder.
    fn train_or_tell(&mut self, folder: &RunFolder, stop: &Stop, quiet: bool) -> Result<Ended> {
        let trained = panic::catch_unwind(AssertUnwindSafe(|| self.train(folder, stop, quiet)));
        trained.unwrap_or_else(|payload| Err(self.panicked(folder, &*payload)))
    }

    /// Steps until the last one, a signal, or the end of the time.
    pub(crate) fn train(&mut self, folder: &RunFolder, stop: &Stop, quiet: bool) -> Result<Ended> {
        let mut log = Log::open(folder, self, quiet)?;
        let faults = self.data.validation.iter().flat_map(ShardSet::faults).chain(self.data.train.faults());
        let mut bad = BadSamples::open(&folder.bad_samples, faults)?;
        // The process before may have ended in a validation.
        let step = self.trainer.step_count();
        let is_missing =
            step > 0 && self.validation_due() && !log.has_validation(step, self.neighbours_due());
        let mut is_validated = !is_missing || self.validate(folder, stop, &mut log, &mut bad)?;
        if step >= self.steps {
            return Ok(if is_validated { Ended::Finished } else { Ended::Early(stop.why()) });
        }
        let mut feed = self.for_batches(|| self.feed())?;
        while self.trainer.step_count() < self.steps && !stop.requested(self.closing_time()) {
            stop.note(Doing::Made(self.trainer.step_count()));
            let staged = match feed.next_unless(stop.channel()) {
                Some(Ok(staged)) => staged,
                Some(Err(error)) => {
                    self.look_back(&mut feed, folder, &mut log)?;
                    bad.write(&feed.finish())?;
                    self.tell_of_panicked_worker(folder, &error);
                    return self.for_batches(|| Err(error));
                }
                None => break, // an endless stream ends only when asked to
            };
            stop.note(Doing::Step(self.trainer.step_count() + 1));
            self.step(&staged, &mut feed, folder, &mut log, &mut bad)?;
            if self.validation_due() {
                self.look_back(&mut feed, folder, &mut log)?;
                self.check(folder)?;
                is_validated = self.validate(folder, stop, &mut log, &mut bad)?;
            }
        }
        self.look_back(&mut feed, folder, &mut log)?;
        let step = self.trainer.step_count();
        stop.note(Doing::Made(step));
        self.save(folder)?;
        stop.note(Doing::Ending(step));
        drop(log); // with the line that shows how far the run is
        bad.summarize();
        tracing::info!("saved, step {step}");
        Ok(if step == self.steps && is_validated { Ended::Finished } else { Ended::Early(stop.why()) })
    }

    /// One update with its record and, where it is due, its checkpoint.
    fn step(
        &mut self,
        staged: &Staged,
        feed: &mut Feed,
        folder: &RunFolder,
        log: &mut Log,
        bad: &mut BadSamples,
    ) -> Result<()> {
        bad.write(&staged.bad_samples)?;
        let (started, step) = (Instant::now(), self.trainer.step_count() + 1);
        let is_recorded = self.trainer.is_recorded();
        self.unchecked.push((step, self.position));
        self.lock.as_ref().map_or(Ok(()), |lock| lock.begin(step, self.position))?;
        let outcome = device::within_memory(
            self.device,
            || format!("batches of {}", self.batch_size),
            || Self::cures(&self.config.train, self.batch_size, is_recorded),
            || self.trainer.step(&staged.views),
        )
        .with_context(|| format!("step {step} failed"));
        let outcome = outcome.inspect_err(|error| {
            self.write_crash(folder, &Crash::error(step, self.position, error));
        })?;
        self.position = staged.views.next;
        self.longest.step = self.longest.step.max(started.elapsed());
        log.count(step, &outcome, staged);
        self.look_back(feed, folder, log)?;
        let due = |every| step == self.steps || step.is_multiple_of(every);
        let (is_recorded, is_saved) = (due(self.config.run.log_every), due(self.config.run.checkpoint_every));
        if is_recorded {
            log.close(step, self.epoch(), bad.count())?;
        }
        if is_recorded || step.is_multiple_of(CHECK_EVERY) {
            self.checking = Some(self.trainer.begin_check()?);
        }
        if is_saved || !self.is_queued {
            self.look_back(feed, folder, log)?;
        }
        if is_saved { self.save(folder) } else { Ok(()) }
    }

    /// Looks at what was asked of the device, with no wait for what was queued since, and writes the record that is due.
    fn look_back(&mut self, feed: &mut Feed, folder: &RunFolder, log: &mut Log) -> Result<()> {
        self.finish_check(folder)?;
        if log.write_due(|| feed.take_times())? {
            self.warn_of_chance(log.loss());
        }
        Ok(())
    }

    /// Does what makes batches, before they are trained on; where memory is short it says so.
    pub(crate) fn for_batches<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let what = || format!("two batches of {}, before they are trained on", self.batch_size);
        let cures = || vec![format!("begin a new run (--out) with --batch-size {}", self.batch_size / 2)];
        device::within_memory(self.device, what, cures, work)
    }

    /// What makes a step need less memory, given the settings and the batch.
    pub(crate) fn cures(config: &TrainConfig, batch_size: usize, is_recorded: bool) -> Vec<String> {
        let mut cures = Vec::new();
        if is_recorded {
            cures.push("add --cuda-graph off: a graph keeps its memory".to_owned());
        }
        if !config.checkpoint_blocks {
            cures.push("add --checkpoint-blocks, which takes more time for the same results".to_owned());
        }
        if batch_size >= 4 * config.accumulate {
            cures.push(format!("begin a new run (--out) with --accumulate {}", 2 * config.accumulate));
        }
        if batch_size >= 4 {
            cures.push(format!("begin one with --batch-size {}", batch_size / 2));
        }
        cures
    }

    /// Waits for the steps so far, and refuses to go on from numbers that are not finite.
    fn check(&mut self, folder: &RunFolder) -> Result<()> {
        self.finish_check(folder)?;
        self.checking = Some(self.trainer.begin_check()?);
        self.finish_check(folder)
    }

    /// Waits for the steps that are looked at, and refuses to go on from numbers that are not finite.
    fn finish_check(&mut self, folder: &RunFolder) -> Result<()> {
        let Some(checking) = self.checking.take() else { return Ok(()) };
        let last = checking.last();
        let broken = checking.finish().with_context(|| format!("what step {last} found cannot be read"))?;
        if let Some(broken) = broken {
            return Err(self.broken(folder, &broken));
        }
        self.unchecked.retain(|(step, _)| *step > last);
        Ok(())
    }

    /// Writes a checkpoint, unless this step has one.
    pub(crate) fn save(&mut self, folder: &RunFolder) -> Result<()> {
        let step = self.trainer.step_count();
        if self.saved == Some(step) {
            return Ok(());
        }
        let started = Instant::now();
        self.check(folder)?;
        if !self.trainer.is_finite() {
            return Err(
                failure!("the parameters are not finite after step {step}, so it is not saved"; "{DIVERGED}"),
            );
        }
        let state = self.state(step, self.position);
        let retention = Retention { keep: self.config.run.keep, keep_every: self.config.run.keep_every };
        if self.trainer.world().is_lead() {
            let (network, moments) = (self.trainer.network().tensors(), self.trainer.moments());
            folder.checkpoints.save(&state, &network, &moments, retention)?;
        }
        self.saved = Some(step);
        self.longest.save = self.longest.save.max(started.elapsed());
        Ok(())
    }
}
