//! The whole program, in one binary: libtorch is linked once.
#![expect(clippy::unwrap_used, reason = "helpers of tests may, too")]

mod classes;
mod cli;
mod contrib;
mod crash;
mod doctor;
mod eval;
mod exchange;
mod fixtures;
#[path = "../golden/mod.rs"]
mod golden;
mod gpu_bench;
mod launcher;
mod own_images;
mod pack;
mod plan;
mod resume;
mod schedule;
mod seeds;
mod support;
mod synth;
mod terminal;
mod train;
mod unattended;
mod verify;
