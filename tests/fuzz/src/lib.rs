//! The functions that the fuzz targets call with their input; `tests/it/seeds.rs` calls them with the seeds.

mod checkpoint;
mod config;
mod import;

pub use self::{checkpoint::checkpoint, config::config, import::import};
