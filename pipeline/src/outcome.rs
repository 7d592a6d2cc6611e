//! The outcome of a sample.

use shards::Sample;

use crate::{BadSample, Error};

/// The outcome of a sample, whose place in the stream it fills.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A rendered sample. Its encoded image is dropped, so that its mapping need not be kept.
    Good(Sample),
    /// A bad sample, and the rendered one that takes its place.
    Replaced { bad: BadSample, by: Sample },
    /// A bad sample whose place nothing takes.
    Bad(BadSample),
    /// A bad sample, and the bad ones that follow it in the order: more than the budget allows, or a whole
    /// epoch.
    Hopeless { first: BadSample, others: Vec<BadSample> },
    /// An error that ends the stream.
    Failed(Error),
}

impl From<shards::Error> for Outcome {
    fn from(error: shards::Error) -> Self {
        match error {
            shards::Error::Sample { shard, offset, key, source } => {
                Self::Bad(BadSample { shard, offset, key, reason: format!("cannot be read: {source}") })
            }
            error => Self::Failed(error.into()),
        }
    }
}
