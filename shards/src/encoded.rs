//! The encoded bytes of an image.

use std::{io, sync::Arc};

use bytes::Bytes;

use crate::mapping::Mapping;

/// Encoded bytes, perhaps of a mapped shard, which they keep alive.
///
/// A shard can be cut short while a sample waits to be decoded, or while it is decoded. The bytes are
/// therefore only accessible inside of [`read`](Self::read).
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    bytes: Bytes,
    /// The mapping and the bytes' offset in it; `None` for bytes in ordinary memory.
    mapped: Option<(Arc<Mapping>, usize)>,
}

impl Encoded {
    pub(crate) fn mapped(bytes: Bytes, mapping: Arc<Mapping>, start: usize) -> Self {
        Self { bytes, mapped: Some((mapping, start)) }
    }

    /// Passes the bytes to `use_bytes` and returns its result.
    ///
    /// # Errors
    /// The shard was cut, or its disk failed, before or during the call.
    pub fn read<R>(&self, use_bytes: impl FnOnce(&[u8]) -> R) -> io::Result<R> {
        let Some((mapping, start)) = &self.mapped else { return Ok(use_bytes(&self.bytes)) };
        mapping.make_resident(*start..start + self.bytes.len())?;
        let result = use_bytes(&self.bytes);
        mapping.check_intact()?;
        Ok(result)
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether there are no bytes.
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
