//! ResNets (He et al. 2016) with the tensors and the strides of torchvision ("v1.5").

mod blocks;
mod config;
mod network;
mod settings;

pub use self::{
    config::{Config, Stem},
    network::{Depth, ResNet},
    settings::Layers,
};
