//! Comparisons with golden tensors of the other methods and of their encoders.

mod all;
pub(crate) mod frame;
mod hashed;
mod npid;
pub(crate) mod resnet;
mod simclr;

pub(crate) use self::all::agree;
