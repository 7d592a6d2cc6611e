//! Protection against SIGBUS: unreadable pages of mapped shards read as zeros.
//!
//! Touching a page that its file no longer reaches raises SIGBUS, which would end the process. Our handler
//! looks the address up: if it lies in a guarded mapping, a page of zeros is mapped there, the mapping is
//! marked as faulted, and the reader goes on. Any other SIGBUS has its previous effect.

mod atomic;
mod guard;
mod slot;

pub(crate) use guard::Guard;
