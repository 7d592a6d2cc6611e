//! What the program does beside training: for each command its flags, and what it tells of its work.

pub mod pack;
mod progress;
pub mod synth;
pub mod verify;
mod written;
