//! The processes that train one network together, and everything in which they take part jointly.
//!
//! [`World`] is a process's place among them, and its joint operations on tensors. [`Launch`] reads from the
//! environment how the process was started. Each process watches the others: one that ends, fails or is silent
//! ends every operation that waits for it, and the others learn which it was ([`Lost`]).

mod decide;
mod ending;
#[cfg(test)]
pub(crate) mod faults;
mod join;
mod joint;
mod launch;
mod lost;
mod member;
mod peers;
mod relayed;
mod settings;
mod share;
mod talk;
mod texts;
mod watch;

pub use decide::Largest;
pub use joint::World;
pub use launch::{Launch, Launcher};
pub use lost::{Fate, Lost};
pub use member::{Member, host};
pub use relayed::Relayed;
pub use settings::{Together, WorldChoice};
