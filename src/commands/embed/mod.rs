//! `amdim-stream embed`: writes the features of every sample, a file for each shard.

mod args;
mod command;
mod folder;
mod left_out;
mod npy;
mod parquet;
mod rows;
mod shard;

pub use self::{
    args::{Args, Format},
    command::run,
};
