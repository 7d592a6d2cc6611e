//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends the process at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// Exit code of an interrupted run.
pub const INTERRUPTED: i32 = 130;

/// Whether somebody asked the run to stop.
#[derive(Debug)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from now on.
    pub(super) fn install() -> Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down and raises it, the second finds it up.
            flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&requested))
                .and_then(|_| flag::register(signal, Arc::clone(&requested)))
                .context("cannot listen for signals")?;
        }
        Ok(Self(requested))
    }

    pub(super) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
