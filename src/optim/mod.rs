//! The optimizer and its learning-rate schedule.

mod adam;
mod config;
mod schedule;

pub use self::{
    adam::Adam,
    config::{Config, Drops, Lengthened},
    schedule::Schedule,
};
