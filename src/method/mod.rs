//! Objectives for training an encoder without labels: what a step optimizes.
//!
//! A method says what its embeddings are, and what is minimized over those of a whole batch ([`Method`]). How a batch is
//! computed, in one go, in parts or block by block, is the same for all of them ([`backward`]).

pub mod amdim;
mod config;
mod grad_cache;
mod interface;

pub use self::{
    config::MethodConfig,
    grad_cache::{ComputeOptions, Loss, backward},
    interface::{Method, Objective},
};
