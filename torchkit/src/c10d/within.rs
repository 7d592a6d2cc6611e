//! Foreign calls that may wait for a process which no longer answers.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::failure::{Failure, NetworkFault};

/// Returns c10d's number of a timeout, which is never 0: that would mean none.
pub(super) fn milliseconds(timeout: Duration) -> i64 {
    i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX / 4).clamp(1, i64::MAX / 4)
}

/// Runs `work`, which has a timeout of its own, on another thread, and returns its result.
///
/// libtorch waits for some answers without a timeout. So this waits a second longer than `timeout`, and then leaves the
/// thread alone, which ends with the connection.
///
/// # Errors
/// Those of `work`, or that it did not end; `what` names it then.
pub(super) fn within<T: Send + 'static>(
    timeout: Duration,
    what: &str,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (done, result) = mpsc::channel();
    let run = move || {
        let _ = done.send(work()); // nobody listens any more if this took too long
    };
    let thread = thread::Builder::new().name("c10d".to_owned());
    thread.spawn(run).map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    result.recv_timeout(timeout.saturating_add(Duration::from_secs(1))).unwrap_or_else(|error| {
        Err(match error {
            RecvTimeoutError::Timeout => {
                Failure::of_network(NetworkFault::TimedOut, format!("{what}: no answer within {timeout:?}"))
            }
            RecvTimeoutError::Disconnected => Failure::new(format!("{what}: the call panicked")),
        })
    })
}
