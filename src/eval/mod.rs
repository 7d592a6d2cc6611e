//! Evaluations of an encoder: classifiers on its frozen features, nearest neighbours, fine-tuning.

pub mod classifier;
mod computed;
pub mod features;
pub mod finetune;
pub mod health;
mod judging;
pub mod knn;
mod logistic;
mod norms;
mod opened;
mod options;
mod run;
mod samples;
mod subject;
pub mod tally;
#[cfg(test)]
mod tiny;

pub use self::{
    knn::neighbours,
    options::{Evaluation, Options, Probe},
    run::run,
};
pub(crate) use self::{
    opened::{checkpoint, share_threads},
    samples::{evenly, gallery, images, share},
};
