//! ResNets (He et al. 2016) with the tensors and the strides of torchvision ("v1.5").

mod blocks;
mod colors;
mod config;
mod network;
mod settings;
mod split;

pub use self::{
    colors::Split,
    config::{Config, Stem},
    network::{Depth, ResNet},
    settings::Layers,
    split::SplitNetwork,
};
