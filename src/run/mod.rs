//! A run's folder and all that lies in it, and what a start means for it.

pub(crate) mod bad_samples;
pub(crate) mod folder;
pub mod gate;
pub(crate) mod length;
pub(crate) mod lock;
pub(crate) mod manifest;
pub mod promotion;
pub(crate) mod standing;
pub(crate) mod start;
pub(crate) mod unattended;

pub use self::{folder::RunFolder, gate::Gate, standing::Standing, unattended::Unattended};
