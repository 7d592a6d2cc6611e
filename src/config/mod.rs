//! What a run can be told: the sum of the parts' own settings, loaded, layered and checked.

mod check;
mod data;
mod file;
mod flags;
mod keys;
mod layers;
mod resolve;
mod run;
mod train;
mod warm_start;
mod whole;
mod words;

pub use self::{
    data::DataConfig,
    file::read,
    flags::{Flags, TrainArgs},
    layers::{Layers, overlay},
    run::{Metric, RunConfig},
    train::TrainConfig,
    warm_start::WarmStart,
    whole::Config,
};

#[cfg(test)]
mod tests;
