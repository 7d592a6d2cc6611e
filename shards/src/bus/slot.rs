//! One guarded range of addresses, as the signal handler sees it while others come and go.

use super::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// One guarded range of addresses; the signal handler reads it, so it is all atomics.
pub(crate) struct Slot {
    pub(crate) taken: AtomicBool,
    /// 0 while the slot is not in use.
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

    /// Frees the slot, before the range is unmapped.
    pub(crate) fn free(&self) {
        self.start.store(0, SeqCst);
        self.taken.store(false, SeqCst);
    }

    /// Whether an address, in a mapping that lives on meanwhile, is of this range.
    pub(crate) fn holds(&self, address: usize) -> bool {
        let start = self.start.load(SeqCst);
        let is_within = start != 0 && address.wrapping_sub(start) < self.length.load(SeqCst);
        // Another range may have taken the slot in between, and the length be its.
        is_within && self.start.load(SeqCst) == start
    }
}
