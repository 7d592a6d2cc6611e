//! What happens when a page of a mapped shard cannot be read: nothing worse than zeros.
//!
//! Touching a page that its file no longer reaches raises SIGBUS, which ends the process. Here the signal is taken: if
//! the address lies in a guarded mapping, a page of zeros is put there, the mapping is marked, and the reader goes on.
//! Any other SIGBUS takes the course that it would have taken without.

mod atomic;
mod guard;
mod slot;

pub(crate) use guard::Guard;
