//! Encoders, and classifiers on their features.

pub mod amdim;
mod blocks;
mod config;
pub mod heads;
mod init;
mod interface;
mod norm;

pub use self::{
    config::EncoderConfig,
    init::set_float_kind,
    interface::{Embedder, Encoder},
};
