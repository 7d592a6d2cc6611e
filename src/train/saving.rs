//! Checks of the numbers of steps, and the checkpoints that wait for them.
//!
//! Both are read when the next step has been queued, so that the device always has work. A checkpoint is a
//! copy of the tensors as they are after its step. Once its numbers are known to be finite, and the record of
//! its step is written, a thread writes it while training goes on.

use std::time::Instant;

use anyhow::{Context, Result};

use super::{
    crash::DIVERGED,
    drift::{COMPARE_EVERY, Comparison},
    output::Output,
    pending::{Pending, PendingCheckpoint},
    session::Run,
    trainer::PendingCheck,
};
use crate::{
    checkpoint::{Job, Retention, Written},
    failure,
    feed::Feed,
    hint,
    run::folder::RunFolder,
    world::World,
};

impl Run {
    /// Allocates the memory that checkpoints need, where this process leads.
    pub(super) fn prepare_saving(&mut self) {
        if self.world.is_lead() {
            self.host_copies.reserve(&self.trainer.network().tensors(), &self.trainer.moments());
        }
    }

    /// Queues reads of the numbers of all steps so far; if `is_saved`, also a checkpoint of the last one,
    /// unless it has one.
    pub(super) fn begin_check(&mut self, is_saved: bool) -> Result<()> {
        let step = self.trainer.step_count();
        let checkpoint =
            if is_saved && self.saved != Some(step) { Some(self.begin_checkpoint(step)?) } else { None };
        let is_compared = checkpoint.is_some() || step.is_multiple_of(COMPARE_EVERY);
        let comparison = if is_compared { Comparison::begin(&self.trainer, self.world)? } else { None };
        self.pending = Some(Pending { check: self.trainer.begin_check()?, comparison, checkpoint });
        Ok(())
    }

    /// Queues copies of the tensors after `step`. Waits for the checkpoint that is being written, if there is
    /// one: they are written one at a time.
    pub(super) fn begin_checkpoint(&mut self, step: u64) -> Result<PendingCheckpoint> {
        let due = Instant::now();
        self.finish_writing()?;
        let (network, moments) = (self.trainer.network().tensors(), self.trainer.moments());
        let (world, state) = (self.world, self.state(step, self.position));
        let contents =
            if world.is_lead() { Some((state, self.host_copies.take(&network, &moments)?)) } else { None };
        let is_finite = self.trainer.begin_finite_check()?;
        self.saved = Some(step);
        Ok(PendingCheckpoint { step, due, is_finite, contents })
    }

    /// Finishes the check, the record and the checkpoint whose numbers are on their way to the host, without
    /// waiting for steps queued since. Does nothing if there are none.
    pub(super) fn finish_pending(&mut self, feed: &mut Feed, output: &mut Output) -> Result<()> {
        let folder = output.folder;
        self.settle(folder, |run| {
            if output.log.write_due(|| feed.take_times())? {
                run.judge_loss(output.log.loss());
            }
            Ok(())
        })
    }

    /// Finishes what is pending. `write_record` comes before the checkpoint: a run that resumes from it does
    /// not write that record again.
    fn settle(
        &mut self,
        folder: &RunFolder,
        write_record: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let Some(Pending { check, comparison, checkpoint }) = self.pending.take() else { return Ok(()) };
        self.finish_check(folder, check)?;
        comparison.map_or(Ok(()), |comparison| comparison.finish(self.world))?;
        write_record(self)?;
        checkpoint.map_or(Ok(()), |checkpoint| self.finish_checkpoint(folder, checkpoint))
    }

    /// Returns whether pending numbers must be read before the next step.
    pub(super) fn must_finish_pending(&self) -> bool {
        !self.is_queued || self.pending.as_ref().is_some_and(Pending::is_shared)
    }

    /// Waits for the steps of a check.
    ///
    /// # Errors
    ///
    /// If their numbers are not finite.
    fn finish_check(&mut self, folder: &RunFolder, pending: PendingCheck) -> Result<()> {
        let last = pending.last();
        let broken =
            pending.finish().with_context(|| format!("the numbers of step {last} cannot be read"))?;
        if let Some(broken) = broken {
            return Err(self.report_broken_step(folder, &broken));
        }
        self.unchecked.retain(|start| start.step > last);
        Ok(())
    }

    /// Lets a checkpoint be written, or writes it if its tensors are those of the training.
    ///
    /// # Errors
    ///
    /// If its numbers are not finite, or it cannot be written.
    pub(super) fn finish_checkpoint(
        &mut self,
        folder: &RunFolder,
        checkpoint: PendingCheckpoint,
    ) -> Result<()> {
        let PendingCheckpoint { step, due, is_finite, contents } = checkpoint;
        let is_finite =
            is_finite.read().with_context(|| format!("the numbers of step {step} cannot be read"))?;
        if is_finite.contains(&0.0) {
            return Err(
                failure!("the parameters are not finite after step {step}, so it is not saved"; "{DIVERGED}"),
            );
        }
        let Some((state, copy)) = contents else { return Ok(()) };
        let retention = Retention { keep: self.config.run.keep, keep_every: self.config.run.keep_every };
        let is_shared = copy.is_shared();
        let job = Job { checkpoints: folder.checkpoints.clone(), state, copy, retention, due };
        if is_shared {
            return self.note_written(job.run().map(Some));
        }
        self.writer.begin(job)
    }

    /// Saves a checkpoint of this step, unless it has one, and waits until it is on the disk. Nothing may be
    /// pending.
    pub(crate) fn save(&mut self, folder: &RunFolder) -> Result<()> {
        debug_assert!(self.pending.is_none(), "a pending record would be lost");
        self.begin_check(true)?;
        self.settle(folder, |_| Ok(()))?;
        self.finish_writing()
    }

    /// Lets the pending checkpoint be written if its numbers are finite, before the run ends by a panic.
    pub(super) fn rescue_checkpoint(&mut self, folder: &RunFolder) {
        if let Err(error) = self.settle(folder, |_| Ok(())) {
            tracing::warn!("the last checkpoint is not written: {error:#}");
        }
    }

    /// Saves the last step, without the others, where this process leads and another one was lost, or a server does not
    /// give the shards any more. Returns the error to end with: that loss, or `error` if it has another cause.
    pub(super) fn end_without_others(&mut self, folder: &RunFolder, error: anyhow::Error) -> anyhow::Error {
        let lost = self.world.lost(&error);
        let is_outage = matches!(hint::find(&error), Some(shards::Error::Unavailable(_)));
        if lost.is_none() && !is_outage {
            self.rescue_checkpoint(folder);
            return error;
        }
        if self.world.is_lead() {
            self.world = World::ALONE;
            self.pending.iter_mut().for_each(|pending| pending.comparison = None);
            self.rescue_checkpoint(folder);
            if let Err(error) = self.finish_writing() {
                tracing::warn!("the last checkpoint is not written: {error:#}");
            }
            let step = self.trainer.step_count();
            // A checkpoint that was begun may not have reached the disk.
            self.saved = folder.checkpoints.last_step();
            match self.save(folder) {
                Ok(()) => tracing::info!("saved, step {step}"),
                Err(error) => tracing::warn!("step {step} is not saved: {error:#}"),
            }
        }
        lost.map_or(error, Into::into)
    }

    /// Collects the checkpoint that was written meanwhile, if there is one, without waiting.
    ///
    /// # Errors
    ///
    /// If it could not be written.
    pub(super) fn collect_written(&mut self) -> Result<()> {
        let written = self.writer.collect();
        self.note_written(written)
    }

    /// Waits for the checkpoint that is being written, if there is one.
    ///
    /// # Errors
    ///
    /// If it could not be written.
    pub(super) fn finish_writing(&mut self) -> Result<()> {
        let written = self.writer.finish();
        self.note_written(written)
    }

    fn note_written(&mut self, written: Result<Option<Written>>) -> Result<()> {
        if let Some(written) = written? {
            self.longest.save = self.longest.save.max(written.took);
            if let Some(gauges) = &self.gauges {
                gauges.saved(written.took.as_secs_f64());
            }
            self.host_copies.give_back(written.memory);
        }
        Ok(())
    }
}
