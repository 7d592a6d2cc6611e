//! Fused pieces: which of them a run uses, and their proof on the run's own device.

mod blocks;
mod difference;
mod known;
mod prove;

pub use self::difference::{Difference, PIECES, fuse_all};
pub(in crate::train) use self::prove::prove_input;
