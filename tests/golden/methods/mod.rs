//! Comparisons with golden tensors of the other methods and of their encoders.

mod all;
mod cmc;
mod colors;
mod cpc;
mod exemplar;
pub(crate) mod frame;
mod hashed;
mod moco;
mod npid;
pub(crate) mod resnet;
mod simclr;

pub(crate) use self::all::agree;
