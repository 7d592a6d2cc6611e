//! Access to torch's random generator for tests, which run side by side in one process.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks torch's generator for one test alone.
pub(crate) fn generator() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}
