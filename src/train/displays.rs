//! Everything that shows a run while it trains.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use torchkit::Accelerator;

use super::Run;
use crate::{
    hint,
    metrics::{Progress, Sink},
    observe::{
        Board, Door, Gauges, Observer, Page, Pages, SCRIPT, Server, Token, Trace, Watcher,
        prometheus::{About, State},
    },
    report::{self, Live, Options, Subject},
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
    /// If a thread cannot be started, or the GPU fails.
    pub(super) fn displays(
        &mut self,
        folder: &RunFolder,
        unattended: &Unattended,
        token: Option<Token>,
    ) -> Result<Displays> {
        let sinks = if self.world.is_lead() { self.sinks(folder, unattended, token)? } else { Vec::new() };
        let Watching { trace, trace_steps, .. } = &unattended.watching;
        let steps = trace_steps.unwrap_or(Watching::TRACED);
        let start = |file: &PathBuf| Trace::start(file, steps, Accelerator::of(self.device), self.world);
        Ok(Displays { sinks, trace: trace.as_ref().map(start).transpose()? })
    }

    /// Makes the progress line, unless the start is quiet, and the thread of those that watch the run, if there are
    /// any.
    fn sinks(
        &mut self,
        folder: &RunFolder,
        unattended: &Unattended,
        token: Option<Token>,
    ) -> Result<Vec<Box<dyn Sink>>> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if !unattended.quiet {
            sinks.push(Box::new(Progress::new(self.trainer.step_count(), self.steps)));
        }
        let gauges = Arc::new(self.new_gauges());
        let mut watchers: Vec<Box<dyn Watcher>> = Vec::new();
        if let Some(server) = self.server(folder, unattended, token, gauges.clone()) {
            watchers.push(Box::new(Gauges::new(gauges.clone(), &self.config)));
            watchers.push(Box::new(server));
            self.gauges = Some(gauges.clone());
        }
        if self.config.run.tensorboard {
            let config = fs::read_to_string(&folder.config).unwrap_or_default();
            let step = self.trainer.step_count();
            watchers.push(Box::new(Board::new(folder, step, config, &self.config, &self.data.train)));
        }
        if !watchers.is_empty() {
            sinks.push(Box::new(Observer::spawn(watchers, gauges)?));
        }
        Ok(sinks)
    }

    /// Returns the numbers for Prometheus at this step.
    fn new_gauges(&self) -> State {
        let about = About {
            method: self.config.method.chosen().name(),
            preset: &self.config.preset.to_string(),
            precision: &self.config.train.precision.to_string(),
            device: &torchkit::name(self.device),
            steps: self.steps,
        };
        State::new(about, self.trainer.step_count())
    }

    /// Starts the server of `--listen`. An address that cannot be had is no reason not to train.
    fn server(
        &self,
        folder: &RunFolder,
        unattended: &Unattended,
        token: Option<Token>,
        gauges: Arc<State>,
    ) -> Option<Server> {
        let _ = fs::remove_file(folder.path.join("listen")); // of a process that was killed
        let address = unattended.watching.listen?;
        let door = Door { token, is_loopback: address.ip().is_loopback() };
        let (path, data) = (folder.path.clone(), self.data.clone());
        let page = move |page: Page| -> Result<String> {
            let run = Subject::with_data(&path, &data).context("the run cannot be read")?;
            report::page(&[run], &options(page))
        };
        match Server::start(address, door, Pages::new(page, move || gauges.page()), &folder.path) {
            Ok(server) => Some(server),
            Err(error) => {
                tracing::warn!("the run is not shown: {}", hint::render(&error));
                None
            }
        }
    }
}

/// Returns what a page of the server has.
fn options(page: Page) -> Options {
    let whole = Options::default();
    match page {
        Page::Live => Options { live: Some(Live { script: SCRIPT.to_owned() }), ..whole },
        Page::Numbers => Options { images: 0, ..whole },
        Page::Report => whole,
    }
}
