//! What ends a run before its last step: a signal, or the end of the time that there is.
//!
//! The first SIGINT or SIGTERM asks for an orderly end, the second ends the process at once.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use crossbeam::channel::{self, Receiver, Sender, TryRecvError};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
    low_level,
};

use crate::exit::Code;

/// Whether the run is to stop: a channel that is hung up then, so that one can wait for it, too.
#[derive(Debug)]
pub(super) struct Stop {
    stopped: Receiver<Infallible>,
    by_signal: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

/// Why a run ends before its last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A signal asked for it.
    Signal,
    /// There is no more time.
    Time,
}

/// Nothing is ever sent: whoever takes it out hangs up.
type Listening = Arc<Mutex<Option<Sender<Infallible>>>>;

fn hang_up(listening: &Listening) {
    listening.lock().unwrap_or_else(PoisonError::into_inner).take();
}

impl Stop {
    /// Listens from now on, until the deadline at most.
    pub(super) fn install(deadline: Option<Instant>) -> Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen for signals")?;
        let (sender, stopped) = channel::bounded(0);
        let listening = Arc::new(Mutex::new(Some(sender)));
        let by_signal = Arc::new(AtomicBool::new(false));
        if let Some(deadline) = deadline {
            let listening = listening.clone();
            spawn("deadline", move || {
                thread::sleep(deadline.saturating_duration_since(Instant::now()));
                hang_up(&listening);
            })?;
        }
        let noted = by_signal.clone();
        spawn("signals", move || {
            let mut signals = signals.forever();
            signals.next();
            noted.store(true, SeqCst);
            hang_up(&listening);
            signals.next();
            low_level::exit(Code::Interrupted as i32);
        })?;
        Ok(Self { stopped, by_signal, deadline })
    }

    /// One that no signal reaches.
    #[cfg(test)]
    pub(super) fn at(deadline: Option<Instant>) -> Self {
        Self { stopped: channel::never(), by_signal: Arc::default(), deadline }
    }

    /// Whether the run is to end now: it was asked to, or has no more time than `closing`, which its end will take.
    pub(super) fn requested(&self, closing: Duration) -> bool {
        let is_late = self.deadline.is_some_and(|deadline| Instant::now() + closing >= deadline);
        is_late || self.stopped.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Why the run, which was to end, was.
    pub(super) fn why(&self) -> Why {
        if self.by_signal.load(SeqCst) { Why::Signal } else { Why::Time }
    }

    /// Disconnects when the run is asked to stop, or its time is over.
    pub(super) fn channel(&self) -> &Receiver<Infallible> {
        &self.stopped
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(body);
    spawned.map(drop).with_context(|| format!("cannot start the thread `{name}`"))
}
