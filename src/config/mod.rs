//! The configuration of a run: the settings of all parts, read from flags and file, layered and checked.

mod check;
mod data;
mod file;
mod flags;
mod keys;
mod layers;
mod operations;
mod recipe;
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
    layers::{Layers, OF_A_MACHINE, flat, overlay},
    recipe::{RecipeConfig, ViewConfig},
    run::{Metric, RunConfig},
    train::TrainConfig,
    warm_start::WarmStart,
    whole::Config,
};

#[cfg(test)]
mod tests;
