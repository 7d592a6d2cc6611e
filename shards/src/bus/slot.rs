//! A guarded range of addresses, which the signal handler reads while others take and free slots.

use super::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// A slot for one guarded range of addresses. The signal handler reads it, so all fields are atomics.
pub(crate) struct Slot {
    pub(crate) taken: AtomicBool,
    /// The first address; 0 while the slot is not in use.
    pub(crate) start: AtomicUsize,
    pub(crate) length: AtomicUsize,
    pub(crate) faulted: AtomicBool,
}

impl Slot {
    /// Takes the slot for a range, if it is free.
    pub(crate) fn take(&self, start: usize, length: usize) -> bool {
        if self.taken.compare_exchange(false, true, SeqCst, SeqCst).is_err() {
            return false;
        }
        self.faulted.store(false, SeqCst);
        self.length.store(length, SeqCst);
        self.start.store(start, SeqCst);
        true
    }

    /// Frees the slot. Call it before the range is unmapped.
    pub(crate) fn free(&self) {
        self.start.store(0, SeqCst);
        self.taken.store(false, SeqCst);
    }

    /// Returns whether an address, whose mapping is alive during the call, lies in this range.
    pub(crate) fn holds(&self, address: usize) -> bool {
        let start = self.start.load(SeqCst);
        let is_within = start != 0 && address.wrapping_sub(start) < self.length.load(SeqCst);
        // Another range may have taken the slot in between, and the length be that of the other range.
        is_within && self.start.load(SeqCst) == start
    }
}
