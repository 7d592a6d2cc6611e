//! What a run will come to on this machine, before it is made: counted, measured for a few seconds, and foretold from that.
//! Nothing is written, but for the cached index of the shards.

mod args;
mod disk;
mod forecast;
mod loading;
mod make;
mod origins;
mod outcome;
mod standing;
mod step;
mod words;

pub use self::{
    args::Args,
    make::run,
    step::{Measured, Memory, made_up},
};
