//! Tests that read back what was packed and drawn.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod members;
mod pack;
mod synth;
