//! The AMDIM encoder (Bachman, Hjelm, Buchwalter 2019) for images of 32, 64 and 128 pixels.

mod blocks;
mod checks;
mod config;
mod embeddings;
mod layers;
mod network;

pub(crate) use self::blocks::cell_masks;
pub use self::{config::Config, embeddings::Embeddings, network::AmdimEncoder};
