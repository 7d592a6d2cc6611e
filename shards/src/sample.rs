//! One sample of a shard.

use std::sync::Arc;

use crate::{Position, encoded::Encoded};

/// The members of a shard that share a key: an encoded image and perhaps a label.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The name of its shard as the user gave it (its path).
    pub shard: Arc<str>,
    /// The name of the image up to the last dot, folder included.
    pub key: String,
    /// The byte of the shard at which the image's data begins.
    pub offset: u64,
    /// The number of the sample in the whole set, from 0 and without gaps.
    pub index: u64,
    /// The epoch that it belongs to.
    pub epoch: u64,
    /// The encoded image.
    pub image: Encoded,
    /// The class, if the sample has one.
    pub label: Option<u32>,
    /// The position of the stream after the [batch](crate::Division) of this sample.
    pub next: Position,
}
