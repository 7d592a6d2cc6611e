//! Classifiers on frozen features.

mod batches;
mod fit;
mod settings;

pub use self::settings::{Fit, HeadKind, Protocol};
pub(super) use self::{
    batches::{Training, augmented},
    fit::Classifier,
};
