//! Methods that train an encoder without labels.
//!
//! A method is one file or folder: its settings ([`MethodSettings`]), its embeddings and its objective
//! ([`Method`]); and a variant of [`MethodConfig`]. How a batch is computed, as a whole, in parts or block by
//! block, is the same for all of them ([`backward`]).

pub mod amdim;
pub mod bank;
pub mod cmc;
mod compute;
mod config;
pub mod cpc;
pub mod exemplar;
mod grad_cache;
pub mod instdisc;
mod interface;
pub mod moco;
pub mod simclr;
#[cfg(test)]
pub(crate) mod toy;

pub use self::{
    compute::ComputeOptions,
    config::MethodConfig,
    grad_cache::{Loss, Stage, backward, backward_in_stages},
    interface::{Defaults, Exchanged, Method, MethodSettings, Objective, Recorded, TrainingSet},
};
