//! Help for unit tests.

pub(crate) mod fake_device;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the random generator of libtorch for one test. The process has one generator, and tests run side by
/// side.
pub(crate) fn lock_generator() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}
