//! Comparisons with golden tensors of the other methods and of their encoders.

mod all;
mod cmc;
mod colors;
mod cpc;
mod exemplar;
mod frame;
mod hashed;
mod moco;
mod npid;
mod resnet;
mod simclr;

pub use self::all::{ALL, Agree};
