//! The thread that writes a checkpoint while training goes on.

use std::{
    panic,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use torchkit::Pinned;

use super::{
    folder::{Checkpoints, Retention},
    host_copy::HostCopy,
    state::State,
};

/// A checkpoint to be written.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) checkpoints: Checkpoints,
    pub(crate) state: State,
    pub(crate) copy: HostCopy,
    pub(crate) retention: Retention,
    /// When the checkpoint became due.
    pub(crate) due: Instant,
}

/// A checkpoint that is on the disk.
#[derive(Debug)]
pub(crate) struct Written {
    /// The time since it became due.
    pub(crate) took: Duration,
    /// The memory of its tensors, if they had some of their own.
    pub(crate) memory: Option<Pinned>,
}

impl Job {
    /// Waits for the tensors and writes the checkpoint.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(crate) fn run(self) -> Result<Written> {
        let Self { checkpoints, state, copy, retention, due } = self;
        let write = || -> Result<Written> {
            let (model, optimizer, memory) = copy.wait()?;
            checkpoints.save(&state, &model, &optimizer, retention)?;
            Ok(Written { took: due.elapsed(), memory })
        };
        torchkit::caught(write).map_err(anyhow::Error::from).flatten()
    }
}

/// Writes checkpoints in a thread, one at a time. Dropping it waits for the one that is being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    thread: Option<JoinHandle<Result<Written>>>,
}

impl Writer {
    /// Starts to write a checkpoint.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    ///
    /// # Panics
    ///
    /// If another checkpoint is being written.
    pub(crate) fn begin(&mut self, job: Job) -> Result<()> {
        assert!(self.thread.is_none(), "one checkpoint is written at a time");
        let thread = thread::Builder::new().name("checkpoint".to_owned()).spawn(|| job.run());
        self.thread = Some(thread.context("cannot start the thread that writes checkpoints")?);
        Ok(())
    }

    /// Returns whether a checkpoint is being written, or was written and not collected.
    pub(crate) fn is_busy(&self) -> bool {
        self.thread.is_some()
    }

    /// Returns the checkpoint that was written since the last call, without waiting for one.
    ///
    /// # Errors
    ///
    /// If it could not be written.
    pub(crate) fn collect(&mut self) -> Result<Option<Written>> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) { self.finish() } else { Ok(None) }
    }

    /// Waits for the checkpoint that is being written, if there is one.
    ///
    /// # Errors
    ///
    /// If it could not be written.
    ///
    /// # Panics
    ///
    /// If the thread panicked.
    pub(crate) fn finish(&mut self) -> Result<Option<Written>> {
        let Some(thread) = self.thread.take() else { return Ok(None) };
        thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload)).map(Some)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("{error:#}");
        }
    }
}
