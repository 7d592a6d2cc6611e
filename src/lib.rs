//! Trains image encoders without labels, fast.
//!
//! Data flows one way: [`shards`] → [`pipeline`] → [`feed`] → [`method`] → [`train`].

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
pub mod optim;
pub mod run;
pub mod settings;
pub mod signals;
pub mod stdout;
pub mod summary;
pub mod terminal;
pub mod train;
pub mod views;
pub mod world;

/// Torch's generator for one test alone: it is the process', and tests run side by side.
#[cfg(test)]
pub(crate) fn generator() -> std::sync::MutexGuard<'static, ()> {
    static GENERATOR: std::sync::Mutex<()> = std::sync::Mutex::new(());
    GENERATOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
