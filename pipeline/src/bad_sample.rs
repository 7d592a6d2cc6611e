//! The report of a bad sample.

use std::{error::Error, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use shards::Sample;

/// A sample that cannot be used: unreadable, without an image, or with one that cannot be decoded. The stream
/// goes on without it, or with another sample in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadSample {
    /// The name of its shard.
    pub shard: Arc<str>,
    /// The byte of the shard at which the image's data begins.
    pub offset: u64,
    /// The key of the sample.
    pub key: String,
    /// The reason why it is bad, as a clause about the sample ("is a damaged PNG: …").
    pub reason: String,
}

impl BadSample {
    /// Makes the report of a sample whose image caused `error`.
    pub(crate) fn new(sample: &Sample, error: &dyn Error) -> Self {
        let Sample { shard, offset, key, .. } = sample;
        let mut reason = error.to_string();
        if let Some(cause) = error.source() {
            reason = format!("{reason}: {cause}");
        }
        Self { shard: shard.clone(), offset: *offset, key: key.clone(), reason }
    }
}

impl fmt::Display for BadSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, offset, key, reason } = self;
        write!(f, "sample `{key}`, shard `{shard}` at byte {offset}, {reason}")
    }
}
