//! Trains image encoders without labels, fast.
//!
//! Data flows one way: [`shards`] → [`pipeline`] → [`feed`] → [`method`] → [`train`].

pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod data;
pub mod eval;
pub mod feed;
pub mod loss;
pub mod method;
pub mod metrics;
pub mod model;
pub mod pack;
pub mod show;
pub mod stdout;
pub mod synth;
pub mod sys;
pub mod train;
pub mod usage;
