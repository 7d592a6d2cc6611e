//! The training loop, from the settings to the end of the run.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

use anyhow::{Context, Result};

use super::{crash::DIVERGED, output::Output, session::Run, trainer::StepOutcome};
use crate::{
    checkpoint::Retention,
    config::TrainConfig,
    device, failure,
    feed::{DeviceBatch, Feed},
    run::{
        crash::Crash,
        folder::RunFolder,
        stop::{Activity, Stop, StopReason},
    },
    views::Views,
};

/// Steps after which the numbers are checked, if a record or a checkpoint does not check them earlier.
const CHECK_EVERY: u64 = 100;

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// All steps are made.
    Finished,
    /// The run was finished before, and no shard has changed since.
    Unchanged,
    /// The run was stopped before its last step, and is saved.
    Stopped(StopReason),
}

impl Run {
    /// Trains. A panic leaves a crash folder and becomes an error.
    pub(crate) fn train_catching_panics(
        &mut self,
        folder: &RunFolder,
        stop: &Stop,
        quiet: bool,
    ) -> Result<RunOutcome> {
        let trained = panic::catch_unwind(AssertUnwindSafe(|| self.train(folder, stop, quiet)));
        trained.unwrap_or_else(|payload| Err(self.report_panic(folder, &*payload)))
    }

    /// Makes steps until the last one, or until the run is to stop.
    pub(crate) fn train(&mut self, folder: &RunFolder, stop: &Stop, quiet: bool) -> Result<RunOutcome> {
        let mut output = Output::open(folder, self, quiet)?;
        let mut is_validated = self.validate_if_missing(stop, &mut output)?;
        if self.trainer.step_count() < self.steps {
            let mut feed = self.for_batches(|| self.feed())?;
            while self.trainer.step_count() < self.steps && !self.is_to_stop(stop) {
                stop.note(Activity::Made(self.trainer.step_count()));
                let Some(batch) = self.next_batch(&mut feed, stop, &mut output)? else { break };
                stop.note(Activity::Step(self.trainer.step_count() + 1));
                self.step(&batch, &mut feed, &mut output)?;
                if self.validation_due() {
                    self.finish_pending(&mut feed, &mut output)?;
                    self.check(folder)?;
                    is_validated = self.validate(stop, &mut output)?;
                }
            }
            self.finish_pending(&mut feed, &mut output)?;
            self.finish(stop, output)?;
        }
        let is_finished = self.trainer.step_count() >= self.steps && is_validated;
        Ok(if is_finished { RunOutcome::Finished } else { RunOutcome::Stopped(stop.reason()) })
    }

    /// Repeats a validation that the previous process did not finish. Returns false if a stop is requested
    /// during it.
    fn validate_if_missing(&mut self, stop: &Stop, output: &mut Output) -> Result<bool> {
        let step = self.trainer.step_count();
        let is_due = step > 0 && self.validation_due();
        if is_due && !output.log.has_validation(step, self.neighbours_due()) {
            return self.validate(stop, output);
        }
        Ok(true)
    }

    /// Returns whether the run is to stop, which all processes decide alike.
    pub(crate) fn is_to_stop(&self, stop: &Stop) -> bool {
        self.world.any(stop.requested(|| self.closing_time()))
    }

    /// Waits for the next batch. Returns `None` where the run is to stop; the samples have no end.
    fn next_batch(
        &mut self,
        feed: &mut Feed,
        stop: &Stop,
        output: &mut Output,
    ) -> Result<Option<DeviceBatch>> {
        match feed.next_unless(stop.channel()) {
            Some(Err(error)) => {
                self.finish_pending(feed, output)?;
                output.bad.write(&feed.finish())?;
                self.report_panicked_worker(output.folder, &error);
                self.for_batches(|| Err(error))
            }
            batch => batch.transpose(),
        }
    }

    /// Makes one update, and writes the record and the checkpoint that are due after it.
    fn step(&mut self, batch: &DeviceBatch, feed: &mut Feed, output: &mut Output) -> Result<()> {
        output.bad.write(&batch.bad_samples)?;
        let (started, start) = (Instant::now(), self.next_step());
        self.unchecked.push(start);
        if let Some(lock) = &self.lock {
            lock.begin(start)?;
        }
        let outcome = self.update(&batch.views).with_context(|| format!("step {} failed", start.step));
        let outcome =
            outcome.inspect_err(|error| self.write_crash(output.folder, &Crash::of_error(start, error)))?;
        self.position = batch.views.next;
        self.longest.step = self.longest.step.max(started.elapsed());
        output.log.count(start.step, &outcome, batch);
        self.finish_pending(feed, output)?;
        self.begin_pending(start.step, output)?;
        let is_saved = self.is_due(start.step, self.config.run.checkpoint_every);
        if is_saved || !self.is_queued {
            self.finish_pending(feed, output)?;
        }
        if is_saved { self.save(output.folder) } else { Ok(()) }
    }

    /// Returns whether an action that is repeated every `every` steps is due after `step`. Every action is
    /// due after the last step.
    fn is_due(&self, step: u64, every: u64) -> bool {
        step == self.steps || step.is_multiple_of(every)
    }

    /// Queues reads of the numbers that a record or a check after this step needs.
    fn begin_pending(&mut self, step: u64, output: &mut Output) -> Result<()> {
        let is_recorded = self.is_due(step, self.config.run.log_every);
        if is_recorded {
            output.log.close(step, self.epoch(), output.bad.count())?;
        }
        if is_recorded || step.is_multiple_of(CHECK_EVERY) {
            self.pending_check = Some(self.trainer.begin_check()?);
        }
        Ok(())
    }

    /// Finishes the check and the record whose numbers are on their way to the host, without waiting for
    /// steps queued since.
    fn finish_pending(&mut self, feed: &mut Feed, output: &mut Output) -> Result<()> {
        self.finish_check(output.folder)?;
        if output.log.write_due(|| feed.take_times())? {
            self.judge_loss(output.log.loss());
        }
        Ok(())
    }

    /// Saves the last step, and closes the output.
    fn finish(&mut self, stop: &Stop, output: Output) -> Result<()> {
        let Output { folder, log, bad } = output;
        let step = self.trainer.step_count();
        stop.note(Activity::Made(step));
        self.save(folder)?;
        stop.note(Activity::Ending(step));
        drop(log); // removes the progress line
        bad.summarize();
        tracing::info!("saved, step {step}");
        Ok(())
    }

    /// Queues an update. Where the device has too little memory, the error says what makes a step need less.
    fn update(&mut self, views: &Views) -> Result<StepOutcome> {
        let is_recorded = self.trainer.is_recorded();
        device::within_memory(
            self.device,
            || format!("batches of {}", self.batch_size),
            || Self::cures(&self.config.train, self.batch_size, is_recorded),
            || self.trainer.step(views),
        )
    }

    /// Makes batches before they are trained on. Where the device has too little memory, the error says so.
    pub(crate) fn for_batches<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let what = || format!("two batches of {}, before they are trained on", self.batch_size);
        let cures = || vec![format!("begin a new run (--out) with --batch-size {}", self.batch_size / 2)];
        device::within_memory(self.device, what, cures, work)
    }

    /// Returns hints that make a step need less memory.
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

    /// Waits for all steps so far.
    ///
    /// # Errors
    ///
    /// If their numbers are not finite.
    fn check(&mut self, folder: &RunFolder) -> Result<()> {
        self.finish_check(folder)?;
        self.pending_check = Some(self.trainer.begin_check()?);
        self.finish_check(folder)
    }

    /// Waits for the steps of the pending check.
    ///
    /// # Errors
    ///
    /// If their numbers are not finite.
    fn finish_check(&mut self, folder: &RunFolder) -> Result<()> {
        let Some(pending) = self.pending_check.take() else { return Ok(()) };
        let last = pending.last();
        let broken =
            pending.finish().with_context(|| format!("the numbers of step {last} cannot be read"))?;
        if let Some(broken) = broken {
            return Err(self.report_broken_step(folder, &broken));
        }
        self.unchecked.retain(|start| start.step > last);
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
        self.trainer.average_statistics();
        self.write_checkpoint(folder)?;
        self.saved = Some(step);
        self.longest.save = self.longest.save.max(started.elapsed());
        Ok(())
    }

    /// Writes a checkpoint where this process leads.
    pub(super) fn write_checkpoint(&self, folder: &RunFolder) -> Result<()> {
        let state = self.state(self.trainer.step_count(), self.position);
        let retention = Retention { keep: self.config.run.keep, keep_every: self.config.run.keep_every };
        let (network, moments) = (self.trainer.network().tensors(), self.trainer.moments());
        let save = || folder.checkpoints.save(&state, &network, &moments, retention);
        self.world.on_lead(save).map(drop)
    }
}
