//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends the process at once.

use std::{convert::Infallible, thread};

use anyhow::{Context, Result};
use crossbeam::channel::{self, Receiver, TryRecvError};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
    low_level,
};

/// Exit code of an interrupted run.
pub const INTERRUPTED: i32 = 130;

/// Whether somebody asked the run to stop: a channel that is hung up then, so that one can wait for it, too.
#[derive(Debug)]
pub(super) struct Stop(Receiver<Infallible>);

impl Stop {
    /// Listens from now on.
    pub(super) fn install() -> Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for signals")?;
        let (listening, stop) = channel::bounded(0);
        let listen = move || {
            let mut signals = signals.forever();
            signals.next();
            drop(listening);
            signals.next();
            low_level::exit(INTERRUPTED);
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(listen)
            .context("cannot listen for signals")?;
        Ok(Self(stop))
    }

    pub(super) fn requested(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Disconnects when the run is asked to stop.
    pub(super) fn channel(&self) -> &Receiver<Infallible> {
        &self.0
    }
}
