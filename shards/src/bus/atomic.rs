//! The atomics of the guard. The tests' models replace this file by loom's atomics.

pub(super) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
