//! The optimizers and the schedule of their learning rate.

mod config;
mod decay;
mod group;
mod optimizer;
mod schedule;
#[cfg(test)]
mod tests;

pub use self::{
    config::{Config, Exclude, Lengthened, LrScaling, OptimizerName, WarmupFrom},
    decay::Decay,
    optimizer::Optimizer,
    schedule::Schedule,
};
