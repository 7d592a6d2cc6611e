//! Encoded bytes that are to be had only while they can be read.

use std::{io, sync::Arc};

use bytes::Bytes;

use crate::mapping::Mapping;

/// Encoded bytes that may lie in a mapped shard, which they keep alive.
///
/// A shard can be cut while a sample waits to be decoded, and while it is decoded. The bytes are therefore to be had
/// only inside of [`read`](Self::read).
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

    /// Hands the bytes to `of` and gives back its result; an error where the shard was cut, before or meanwhile.
    pub fn read<R>(&self, of: impl FnOnce(&[u8]) -> R) -> io::Result<R> {
        let Some((mapping, start)) = &self.mapped else { return Ok(of(&self.bytes)) };
        mapping.make_resident(*start..start + self.bytes.len())?;
        let result = of(&self.bytes);
        mapping.check_intact()?;
        Ok(result)
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
