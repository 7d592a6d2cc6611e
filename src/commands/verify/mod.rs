//! `amdim-stream verify`: every byte of a set read, what is wrong with it told, and shards without it written.

mod command;
mod table;
mod words;

pub use command::{Args, run};
