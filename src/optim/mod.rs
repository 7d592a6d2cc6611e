//! The optimizer, and its learning rate step by step.

mod adam;
mod config;
mod schedule;

pub use self::{
    adam::Adam,
    config::{Config, Drops, Lengthened},
    schedule::Schedule,
};
