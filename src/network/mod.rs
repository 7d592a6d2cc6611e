//! The network that a checkpoint contains. It can be built, loaded and asked for features without an
//! optimizer.

mod features;
mod model;
mod probe;

pub(crate) use self::features::features;
pub use self::{
    model::{Judged, Network},
    probe::{Both, OnlineProbe},
};
