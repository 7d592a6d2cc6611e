//! Everything that shows a run while it trains.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use anyhow::Result;
use torchkit::Accelerator;

use super::Run;
use crate::{
    hint,
    metrics::{Progress, Sink},
    observe::{Door, Observer, Page, Pages, Server, Token, Trace, Watcher},
    run::{folder::RunFolder, unattended::Unattended, watching::Watching},
};

/// By what a run is shown. The default shows nothing.
#[derive(Default)]
pub(crate) struct Displays {
    /// Where records go besides `metrics.jsonl`.
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    /// The trace of the first steps.
    pub(crate) trace: Option<Trace>,
}

impl Run {
    /// Begins to show the run. A process that does not lead has no more to show than its trace.
    ///
    /// # Errors
    ///
    /// If the token of `--listen` cannot be read, a thread cannot be started, or the GPU fails.
    pub(super) fn displays(&self, folder: &RunFolder, unattended: &Unattended) -> Result<Displays> {
        let sinks = if self.world.is_lead() { self.sinks(folder, unattended)? } else { Vec::new() };
        let Watching { trace, trace_steps, .. } = &unattended.watching;
        let steps = trace_steps.unwrap_or(Watching::TRACED);
        let start = |file: &PathBuf| Trace::start(file, steps, Accelerator::of(self.device), self.world);
        Ok(Displays { sinks, trace: trace.as_ref().map(start).transpose()? })
    }

    /// Makes the progress line, unless the start is quiet, and the thread of those that watch the run, if there are
    /// any.
    fn sinks(&self, folder: &RunFolder, unattended: &Unattended) -> Result<Vec<Box<dyn Sink>>> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if !unattended.quiet {
            sinks.push(Box::new(Progress::new(self.trainer.step_count(), self.steps)));
        }
        let dropped = Arc::new(AtomicU64::new(0));
        let watchers: Vec<Box<dyn Watcher>> = self.server(folder, unattended)?.into_iter().collect();
        if !watchers.is_empty() {
            sinks.push(Box::new(Observer::spawn(watchers, dropped)?));
        }
        Ok(sinks)
    }

    /// Starts the server of `--listen`. An address that cannot be had is no reason not to train.
    #[expect(clippy::unused_self, reason = "x")]
    fn server(&self, folder: &RunFolder, unattended: &Unattended) -> Result<Option<Box<dyn Watcher>>> {
        let Some(address) = unattended.watching.listen else { return Ok(None) };
        let token = unattended.watching.listen_token.as_deref().map(Token::of).transpose()?;
        let door = Door { token, is_loopback: address.ip().is_loopback() };
        let pages = Pages::new(|_: Page| Ok(String::new()), String::new);
        match Server::start(address, door, pages, &folder.path) {
            Ok(server) => Ok(Some(Box::new(server))),
            Err(error) => {
                tracing::warn!("the run is not shown: {}", hint::render(&error));
                Ok(None)
            }
        }
    }
}
