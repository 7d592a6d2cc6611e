//! Encoders, and classifiers on their features.

pub mod amdim;
mod blocks;
pub mod heads;
mod init;
mod interface;
mod norm;

pub use self::{
    init::set_float_kind,
    interface::{Embedder, Encoder},
};
