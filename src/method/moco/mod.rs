//! `MoCo`: momentum contrast for unsupervised visual representation learning (He et al. 2020; version 2: Chen
//! et al. 2020).

mod config;
mod groups;
mod key_encoder;
mod objective;
mod queries;
mod queue;
mod settings;

pub use self::{
    config::Config,
    groups::{GroupRule, Groups},
    objective::Moco,
};
