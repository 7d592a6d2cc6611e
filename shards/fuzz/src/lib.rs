//! The functions that the fuzz targets call with their input; `shards/tests/seeds.rs` calls them with the
//! seeds.

mod cache;
mod pattern;
mod shard;

pub use cache::cache;
pub use pattern::pattern;
pub use shard::{seal_headers, shard};
