//! Fused pieces: which of them a run uses, and their proof on the run's own device.

mod blocks;
mod difference;
mod known;
mod prove;

pub(in crate::train) use self::prove::prove_input;
pub use self::{
    difference::{Difference, PIECES},
    prove::settle_fused,
};
