//! Counters of what is read from servers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::source::Traffic;

/// The counters of a process.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) bytes: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) waited_ns: AtomicU64,
}

impl Counters {
    pub(super) fn traffic(&self) -> Traffic {
        let [bytes, requests, retries, hits, misses, damaged, waited_ns] = [
            &self.bytes,
            &self.requests,
            &self.retries,
            &self.hits,
            &self.misses,
            &self.damaged,
            &self.waited_ns,
        ]
        .map(|counter| counter.load(Relaxed));
        Traffic { bytes, requests, retries, hits, misses, damaged, waited_ns }
    }
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Relaxed);
}
