//! Encoders, and classifiers on their features.
//!
//! An encoder is one file or folder: its settings ([`EncoderSettings`]) and the network ([`Encoder`]); and a
//! variant of [`EncoderConfig`].

pub mod amdim;
mod by_block;
mod config;
pub mod cpc;
pub mod exemplar;
mod features;
pub mod heads;
mod init;
mod interface;
#[cfg(test)]
pub(crate) mod linear;
mod norm;
mod projected;
mod projection;
pub mod resnet;

pub use self::{
    by_block::{Chain, product},
    config::EncoderConfig,
    features::Features,
    init::set_float_kind,
    interface::{Embedder, Encoder, EncoderSettings},
    norm::{Mode, Moves, Norming, Part},
    projected::{NormBatch, Projected},
    projection::Projection,
};
