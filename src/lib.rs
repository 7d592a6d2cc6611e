//! Trains image encoders without labels, from sharded tar datasets.
//!
//! Data flows one way: [`shards`] → [`pipeline`] → [`feed`] → [`method`] → [`train`]. A [`network::Network`]
//! can be built, loaded and evaluated without any of them:
//!
//! ```
//! use amdim_stream::{config::Config, encoder::{Mode, amdim}, network::Network};
//! use pipeline::Preset;
//! use tch::{Device, Kind, Tensor};
//!
//! let mut config = Config::preset(Preset::C10);
//! config.encoder = amdim::Config { ndf: 8, n_rkhs: 64, n_depth: 1, use_bn: false }.into();
//! let network = Network::new(&config, 0, None, Device::Cpu)?;
//!
//! let images = Tensor::randn([4, 3, 32, 32], (Kind::Float, Device::Cpu));
//! let features = network.encoder().features(&images, Mode::Evaluation);
//! assert_eq!(features.size(), [4, network.encoder().width()]);
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod about;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod config;
pub mod data;
mod destination;
pub mod device;
pub mod encoder;
pub mod eval;
pub mod exchange;
pub mod exit;
pub mod feed;
mod files;
pub mod hint;
pub mod loss;
pub mod method;
pub mod metrics;
pub mod network;
pub mod numbers;
pub mod observe;
pub mod optim;
pub mod report;
pub mod run;
pub mod selftest;
pub mod servers;
pub mod settings;
pub mod signals;
pub mod stdout;
pub mod summary;
pub mod terminal;
#[cfg(test)]
mod testing;
pub mod train;
pub mod views;
pub mod world;
