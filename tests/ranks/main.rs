//! Runs in several processes, which are started as by a launcher (`make soak` runs the long form): the same results as in one process, one end of all,
//! and what happens to the others when one is lost.
#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap, too")]
#![expect(clippy::print_stdout, reason = "the long form prints its figures")]

mod ends;
mod flipped;
mod golden;
mod group;
mod launchers;
mod losses;
mod same;
mod slow;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "the other tests use more of it")]
mod support;
mod together;

/// How much of something a test does: so much in short, so much in the long form.
fn amount(short: usize, long: usize) -> usize {
    let is_long = std::env::var_os("AMDIM_SOAK").is_some_and(|value| value == "1");
    if is_long { long } else { short }
}
