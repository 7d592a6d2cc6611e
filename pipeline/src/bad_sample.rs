//! A bad sample.

use std::{error::Error, fmt, sync::Arc};

use serde::Serialize;
use shards::Sample;

/// A bad sample that the stream went on without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadSample {
    /// The shard.
    pub shard: Arc<str>,
    /// Byte at which the image's data begins.
    pub offset: u64,
    /// The sample.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

impl BadSample {
    /// A sample whose image is no good.
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
