//! One sample of a shard.

use std::{io, sync::Arc};

use bytes::Bytes;

use crate::{Position, local::Mapping};

/// The entries of a shard that share a key: an encoded image and perhaps a label.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The shard it lies in, as the user would name it (its path).
    pub shard: Arc<str>,
    /// Name of the sample inside the shard, folder included, up to the first dot of the base name.
    pub key: String,
    /// Byte of the shard at which the image's data begins (of the first header where there is no image).
    pub offset: u64,
    /// Dense number of the sample in the whole set.
    pub index: u64,
    /// The epoch that it is drawn for.
    pub epoch: u64,
    /// The encoded image; empty where the sample has none.
    pub image: Encoded,
    /// The class, where the sample has one.
    pub label: Option<u32>,
    /// Where the stream stands after this sample.
    pub next: Position,
}

/// Encoded bytes that may lie in a mapped shard, which they keep alive.
///
/// A shard can be cut while a sample waits to be decoded. The bytes are therefore to be had only by
/// [`read`](Self::read), right before they are used.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    bytes: Bytes,
    /// Where in which mapping the bytes lie; `None` for bytes that are in memory for good.
    mapped: Option<(Arc<Mapping>, usize)>,
}

impl Encoded {
    pub(crate) fn mapped(bytes: Bytes, mapping: Arc<Mapping>, start: usize) -> Self {
        Self { bytes, mapped: Some((mapping, start)) }
    }

    /// The bytes, which can be read without a fault at the time of the call; an error where the shard was cut.
    pub fn read(&self) -> io::Result<&[u8]> {
        if let Some((mapping, start)) = &self.mapped {
            mapping.make_resident(*start..start + self.bytes.len())?;
        }
        Ok(&self.bytes)
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl From<Bytes> for Encoded {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, mapped: None }
    }
}

impl From<Vec<u8>> for Encoded {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}
