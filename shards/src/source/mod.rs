//! Sources of shards.

mod interface;
mod local;
mod memory;
mod parts;

pub use interface::Source;
pub use local::LocalSource;
pub use memory::MemorySource;
pub use parts::{LineSpeed, Parts, Traffic, Wanted};
