//! One sample of a shard.

use std::sync::Arc;

use crate::{Position, encoded::Encoded};

/// The entries of a shard that share a key: an encoded image and perhaps a label.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The shard it lies in, as the user would name it (its path).
    pub shard: Arc<str>,
    /// Name of the sample inside the shard, folder included: that of its image up to the last dot.
    pub key: String,
    /// Byte of the shard at which the image's data begins.
    pub offset: u64,
    /// Dense number of the sample in the whole set.
    pub index: u64,
    /// The epoch that it is drawn for.
    pub epoch: u64,
    /// The encoded image.
    pub image: Encoded,
    /// The class, where the sample has one.
    pub label: Option<u32>,
    /// Where the stream stands after this sample.
    pub next: Position,
}
