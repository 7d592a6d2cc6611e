//! The self-test: comparisons that every device must pass.

mod check;
mod cure;
mod fused;
pub mod golden;
mod graph;
mod list;
mod optimizers;
mod overlap;
mod precision;
mod pressure;
mod references;
mod resume;

pub use self::{
    check::{Check, Options, Outcome, State},
    list::checks,
};
