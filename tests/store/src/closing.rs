//! The end of a server's time, for which all its threads look out while they wait.

use std::{
    io,
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Whether a server is to stop.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    closed: Mutex<bool>,
    bell: Condvar,
}

impl Closing {
    /// Ends all waiting.
    pub(crate) fn close(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `time`. Fails as soon as the server is to stop.
    pub(crate) fn wait_until(&self, time: Instant) -> io::Result<()> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        while !*closed {
            let left = time.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            closed = self.bell.wait_timeout(closed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// Waits so long. Fails as soon as the server is to stop.
    pub(crate) fn wait(&self, how_long: Duration) -> io::Result<()> {
        if how_long.is_zero() { Ok(()) } else { self.wait_until(Instant::now() + how_long) }
    }
}
