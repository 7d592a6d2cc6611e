//! `amdim-stream embed`: the features of every sample, a file for each shard.

mod command;
mod left_out;
mod npy;
mod parquet;
mod rows;

pub use self::command::{Args, Format, run};
