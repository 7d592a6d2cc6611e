//! What threads do to each other at every moment that they can meet, by loom: the code itself, with loom's atomics.

/// What takes the place of `bus/atomic.rs`.
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

    /// A slot goes from a short range to a long one above; what lies between is neither's, at no moment.
    #[test]
    fn an_address_is_not_taken_for_that_of_a_range_that_comes_or_goes() {
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

    /// A reader that is in its range finds it, whoever looks for a free slot; a mark of an earlier range is gone.
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
