//! The subcommands: the flags of each, the work, and what it prints.

pub mod doctor;
pub mod embed;
pub mod eval;
pub mod events;
pub mod export;
mod finding;
pub mod import;
pub mod index;
pub mod pack;
pub mod plan;
mod progress;
pub mod replay;
pub mod report;
pub mod runs;
pub mod selftest;
mod shared;
pub mod show;
pub mod synth;
pub mod verify;
mod written;
