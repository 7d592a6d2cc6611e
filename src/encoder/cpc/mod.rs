//! The networks of CPC on images (van den Oord et al. 2018), with the names of its implementation by
//! Löwe et al. (2019): an encoder of patches, and the context network over their grid.

mod blocks;
mod checks;
mod config;
mod context;
mod network;

pub use self::{config::Config, context::Context, network::CpcEncoder};
