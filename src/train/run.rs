//! The training loop, from the settings to the end of the run.

use std::{
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

use anyhow::{Context, Result};
use pipeline::trace;

use super::{displays::Displays, output::Output, session::Run, trainer::StepOutcome};
use crate::{
    config::TrainConfig,
    device,
    feed::{DeviceBatch, Feed},
    run::{
        crash::Crash,
        folder::RunFolder,
        stop::{Activity, Stop, StopReason},
    },
    views::Views,
};
use torchkit::Failure;

/// Steps after which the numbers are checked, if nothing else checks them earlier.
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
        displays: Displays,
    ) -> Result<RunOutcome> {
        let trained = panic::catch_unwind(AssertUnwindSafe(|| self.train(folder, stop, displays)));
        trained.unwrap_or_else(|payload| {
            if let Some(failure) = payload.downcast_ref::<Failure>()
                && failure.network.is_some()
            {
                return Err(failure.clone().into());
            }
            let error = self.report_panic(folder, &*payload);
            self.rescue_checkpoint(folder);
            Err(error)
        })
    }

    /// Makes steps until the last one, or until the run is to stop. `displays` show it.
    pub(crate) fn train(
        &mut self,
        folder: &RunFolder,
        stop: &Stop,
        displays: Displays,
    ) -> Result<RunOutcome> {
        let mut output = Output::open(folder, self, displays)?;
        let mut is_validated = self.validate_if_missing(stop, &mut output)?;
        if self.trainer.step_count() < self.steps {
            self.prepare_saving();
            let mut feed = self.for_batches(|| self.feed())?;
            let made = self.make_steps(stop, &mut feed, &mut output);
            // The other processes do not finish a record with one that has failed.
            let finished = if made.is_err() && self.world.has_others() {
                Ok(())
            } else {
                self.finish_pending(&mut feed, &mut output)
            };
            is_validated = made?.unwrap_or(is_validated);
            finished?;
            self.finish(stop, output)?;
        }
        let is_finished = self.trainer.step_count() >= self.steps && is_validated;
        Ok(if is_finished { RunOutcome::Finished } else { RunOutcome::Stopped(stop.reason()) })
    }

    /// Makes steps and validations until the last one, or until the run is to stop. Returns whether the last
    /// validation was completed; none if there was none.
    fn make_steps(&mut self, stop: &Stop, feed: &mut Feed, output: &mut Output) -> Result<Option<bool>> {
        let mut is_validated = None;
        while self.trainer.step_count() < self.steps
            && !stop.is_due_before_step(self.world, || self.closing_time())?
        {
            stop.note(Activity::Made(self.trainer.step_count()));
            let waited = trace::span("wait for a batch", || self.next_batch(feed, stop, output));
            let Some(mut batch) = waited? else { break };
            stop.note(Activity::Step(self.trainer.step_count() + 1));
            self.prove_fused(&batch.views)?;
            self.traced_step(&mut batch, feed, output)?;
            if self.validation_due() {
                let validated = trace::span("validation", || self.validate(stop, Some(feed), output));
                is_validated = Some(validated?);
            }
        }
        Ok(is_validated)
    }

    /// Repeats a validation that the previous process did not finish. Returns false if a stop is requested
    /// during it.
    fn validate_if_missing(&mut self, stop: &Stop, output: &mut Output) -> Result<bool> {
        let step = self.trainer.step_count();
        let is_due = step > 0 && self.validation_due();
        if is_due && !output.log.has_validation(step, self.neighbours_due()) {
            return self.validate(stop, None, output);
        }
        Ok(true)
    }

    /// Returns whether the run is to stop, which all processes decide alike.
    pub(crate) fn is_to_stop(&self, stop: &Stop) -> Result<bool> {
        stop.is_due(self.world, || self.closing_time())
    }

    /// Waits for the next batch. Returns `None` where the run is to stop; the samples have no end.
    fn next_batch(
        &mut self,
        feed: &mut Feed,
        stop: &Stop,
        output: &mut Output,
    ) -> Result<Option<DeviceBatch>> {
        match feed.next_unless(&stop.channel(self.world)) {
            Some(Err(error)) => {
                if !self.world.has_others() {
                    self.finish_pending(feed, output)?;
                }
                output.bad.write(&feed.finish())?;
                self.report_panicked_worker(output.folder, &error);
                self.for_batches(|| Err(error))
            }
            batch => {
                self.world.check()?;
                batch.transpose()
            }
        }
    }

    /// Makes one update, as a step of the trace if there is one.
    fn traced_step(&mut self, batch: &mut DeviceBatch, feed: &mut Feed, output: &mut Output) -> Result<()> {
        let Some(mut trace) = output.trace.take() else { return self.step(batch, feed, output) };
        let about = (batch.id, batch.copied.take());
        let made = trace.step(about, || self.step(batch, feed, output));
        output.trace = Some(trace);
        made
    }

    /// Makes one update, and begins the record and the checkpoint that are due after it.
    pub(super) fn step(&mut self, batch: &DeviceBatch, feed: &mut Feed, output: &mut Output) -> Result<()> {
        self.collect_written()?;
        output.bad.write(&batch.bad_samples)?;
        self.met.add(batch);
        let (started, start) = (Instant::now(), self.next_step());
        self.unchecked.push(start);
        self.world.note_step(start.step);
        if let Some(lock) = &self.lock {
            lock.begin(start)?;
        }
        let is_recorded = self.is_due(start.step, self.config.run.log_every);
        self.trainer.with_scores(self.config.run.tensorboard && is_recorded);
        let outcome = self.update(&batch.views).with_context(|| format!("step {} failed", start.step));
        let outcome = outcome.inspect_err(|error| {
            if self.world.lost(error).is_none() {
                self.write_crash(output.folder, &Crash::of_error(start, error));
            }
        })?;
        self.position = batch.views.next;
        self.longest.step = self.longest.step.max(started.elapsed());
        output.log.count(start.step, outcome, batch);
        self.finish_pending(feed, output)?;
        self.begin_pending(start.step, output)?;
        if self.must_finish_pending() { self.finish_pending(feed, output) } else { Ok(()) }
    }

    /// Returns whether an action that is repeated every `every` steps is due after `step`. Every action is
    /// due after the last step.
    fn is_due(&self, step: u64, every: u64) -> bool {
        step == self.steps || step.is_multiple_of(every)
    }

    /// Queues reads of the numbers that a record, a checkpoint, a validation or a check after this step needs.
    fn begin_pending(&mut self, step: u64, output: &mut Output) -> Result<()> {
        let is_recorded = self.is_due(step, self.config.run.log_every);
        if is_recorded {
            output.bad.exchange(self.world)?;
            self.check_bad_samples()?;
            output.log.close(step, self.epoch(), output.bad.count())?;
        }
        let is_saved = self.is_due(step, self.config.run.checkpoint_every);
        if is_recorded || is_saved || self.validation_due() || step.is_multiple_of(CHECK_EVERY) {
            self.begin_check(is_saved)?;
        }
        Ok(())
    }

    /// Checks that all processes together have not met too many bad samples. One process checks it while it loads.
    ///
    /// # Errors
    ///
    /// If they have, on all processes.
    fn check_bad_samples(&self) -> Result<()> {
        if !self.world.has_others() {
            return Ok(());
        }
        let of_ranks = self.world.every(&self.met)?;
        let (bad, seen) = of_ranks.iter().fold((0, 0), |(bad, all), met| (bad + met.bad, all + met.all));
        let budget = self.config.run.max_bad;
        match of_ranks.into_iter().rev().find_map(|met| met.last_bad) {
            Some(last) if budget.is_exceeded(bad, seen) => {
                Err(pipeline::Error::TooManyBad { bad, seen, budget, last }.into())
            }
            _ => Ok(()),
        }
    }

    /// Saves the last step, and closes the output.
    fn finish(&mut self, stop: &Stop, output: Output) -> Result<()> {
        let Output { folder, log, bad, trace } = output;
        let (step, mut bad) = (self.trainer.step_count(), bad);
        stop.note(Activity::Made(step));
        self.save(folder)?;
        bad.exchange(self.world)?;
        stop.note(Activity::Ending(step));
        drop(log); // removes the progress line
        drop(trace); // is written
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
}
