//! The training loop.

mod alarms;
mod averaging;
mod begin;
mod crash;
mod displays;
mod drift;
mod fused;
mod learner;
mod line;
mod log;
#[cfg(test)]
pub(crate) mod methods;
mod neighbours;
mod outlook;
mod output;
mod pending;
mod prepare;
#[cfg(test)]
pub(crate) mod ranks;
mod run;
mod saving;
mod session;
#[cfg(test)]
pub(crate) mod several;
#[cfg(test)]
mod single;
mod step;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tiny;
#[cfg(test)]
mod toy;
mod trainer;
mod validation;
#[cfg(test)]
mod watched;

pub(crate) use self::session::{Run, feed};
pub use self::{
    begin::run,
    fused::{Difference, PIECES, fuse_all},
    run::RunOutcome,
    session::image_kind,
    trainer::{BrokenStep, PendingCheck, StepOutcome, Trainer},
};
