//! `amdim-stream verify`: reads every byte of a set, reports what is wrong with it, and writes cleaned
//! shards.

mod command;
mod table;
mod words;

pub use command::{Args, run};
