//! What is packed and drawn, read back.
#![expect(clippy::unwrap_used, reason = "helpers of tests may, too")]

mod members;
mod pack;
mod synth;
