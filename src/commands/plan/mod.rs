//! `amdim-stream plan`: describes a run on this machine before it starts. It counts the data, measures
//! loading and steps for a few seconds, and forecasts speed, memory and disk space. Only the cached index of
//! the shards is written.

mod args;
mod disk;
mod forecast;
mod loading;
mod make;
mod origins;
mod outcome;
mod processes;
mod server;
mod standing;
mod step;
mod words;

pub use self::{
    args::Args,
    make::run,
    step::{Measured, Memory},
};
