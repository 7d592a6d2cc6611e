//! The training loop.

pub(crate) mod bottleneck;
pub(crate) mod crash;
mod log;
pub(crate) mod outlook;
mod prepare;
mod promote;
mod run;
mod session;
mod step;
mod stop;
#[cfg(test)]
mod tests;
mod threads;
#[cfg(test)]
pub(crate) mod tiny;
#[cfg(test)]
mod toy;
mod trainer;
mod validation;

pub(crate) use self::{
    promote::check_gates,
    session::{Run, feed},
};
pub use self::{
    run::{Ended, run},
    step::{StepMetrics, StepNumbers},
    stop::Why,
    trainer::{Broken, Checking, Outcome, Trainer},
};
