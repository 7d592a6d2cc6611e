//! Sources of shards.

mod interface;
mod local;
mod memory;
mod open;

pub use interface::Source;
pub use local::LocalSource;
pub use memory::MemorySource;
pub use open::open;
