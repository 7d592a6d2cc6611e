//! What the fuzz targets do with their input; `shards/tests/seeds.rs` does the same with the seeds.

mod cache;
mod pattern;
mod shard;

pub use cache::cache;
pub use pattern::pattern;
pub use shard::{seal_headers, shard};
