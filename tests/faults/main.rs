//! What the program survives: kills, full disks, damaged checkpoints, shards and images, failing reads and
//! writes.
//!
//! Each test prints one line with what it did. `cargo test` runs a short form of every test; with
//! `AMDIM_SOAK=1`, which is what `make soak` sets, they run the long one. All is drawn from fixed seeds, and
//! what ends well is always compared with a run that nothing disturbed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may, too; counts are printed"
)]

mod bad_images;
mod checkpoints;
mod disturbed_shards;
mod encode;
mod file_systems;
mod io_errors;
mod kills;
mod kinds;
mod memory;
mod run_folder;
mod shim;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "the other tests use more of it")]
mod support;
mod watched;

/// How much of something a test does: so much in short, so much in the long form.
fn amount(short: usize, long: usize) -> usize {
    let is_long = std::env::var_os("AMDIM_SOAK").is_some_and(|value| value == "1");
    if is_long { long } else { short }
}
