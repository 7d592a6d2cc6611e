//! What a checkpoint holds: a network can be built, loaded and asked for features without an optimizer.

mod frozen;
mod model;
mod probe;

pub(crate) use self::{
    frozen::{frozen, without_gradient},
    model::is_finite,
};
pub use self::{
    model::{Judged, Network},
    probe::{Both, OnlineProbe},
};
