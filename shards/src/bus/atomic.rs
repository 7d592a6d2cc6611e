//! The atomics of the guard: the tests' models put loom's in their place.

pub(super) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
