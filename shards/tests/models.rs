//! Models of the guard's concurrency, checked by loom at every interleaving: the crate's own code, with
//! loom's atomics.

/// Replaces `bus/atomic.rs`.
mod atomic {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
}

#[path = "../src/bus/slot.rs"]
mod slot;

mod models {
    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    use super::slot::Slot;

    fn free_slot() -> Slot {
        Slot {
            taken: AtomicBool::new(false),
            start: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            faulted: AtomicBool::new(false),
        }
    }

    /// A slot moves from a short range to a longer one above it; an address between them never belongs to
    /// either.
    #[test]
    fn an_address_is_not_mistaken_for_one_of_a_range_that_comes_or_goes() {
        loom::model(|| {
            let slot = loom::sync::Arc::new(free_slot());
            assert!(slot.take(1000, 10));
            let other = slot.clone();
            let changes = loom::thread::spawn(move || {
                other.free();
                assert!(other.take(5000, 4000));
            });
            assert!(!slot.holds(3000));
            changes.join().unwrap();
            assert!(slot.holds(8999) && !slot.holds(9000) && !slot.holds(1000));
        });
    }

    /// A reader within its range finds it while others look for a free slot, and the mark of an earlier range
    /// is cleared.
    #[test]
    fn a_range_is_found_as_long_as_it_is_guarded() {
        loom::model(|| {
            let slot = loom::sync::Arc::new(free_slot());
            slot.faulted.store(true, SeqCst);
            let other = slot.clone();
            let wants = loom::thread::spawn(move || other.take(5000, 10));
            let is_mine = slot.take(1000, 10);
            if is_mine {
                assert!(slot.holds(1005) && !slot.faulted.load(SeqCst));
            }
            assert_ne!(is_mine, wants.join().unwrap());
        });
    }
}
