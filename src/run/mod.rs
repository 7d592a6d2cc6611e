//! A run's folder, the files in it, and the conditions under which a run starts and ends.

mod agreement;
pub(crate) mod bad_samples;
pub(crate) mod batch;
pub(crate) mod crash;
pub(crate) mod enlarged;
pub(crate) mod folder;
pub mod gate;
pub mod history;
pub(crate) mod length;
pub(crate) mod lock;
pub(crate) mod manifest;
pub(crate) mod promote;
pub mod promotion;
pub(crate) mod standing;
pub(crate) mod start;
pub(crate) mod stop;
pub(crate) mod threads;
pub(crate) mod unattended;
pub(crate) mod watching;

pub use self::{folder::RunFolder, gate::Gate, standing::Standing, stop::StopReason, unattended::Unattended};
