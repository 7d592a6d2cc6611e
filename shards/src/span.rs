//! The place of a sample in its shard.

use crate::scan::BLOCK;

/// One more than the largest valid label.
pub(crate) const LABEL_LIMIT: u32 = 1_000_000;
/// The label that stands for none.
pub(crate) const NO_LABEL: u32 = u32::MAX;

/// The place of a sample in its shard. The key is read from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The byte of the first header of the member with the image, whose name gives the key.
    pub(crate) head: u64,
    /// The byte of the image's data, which is elsewhere if the member is a link.
    pub(crate) image: u64,
    /// The size of the image in bytes.
    pub(crate) length: u32,
    pub(crate) label: u32,
}

impl Span {
    /// The bytes of a stored span.
    pub(crate) const SIZE: usize = 24;

    pub(crate) fn label(&self) -> Option<u32> {
        (self.label != NO_LABEL).then_some(self.label)
    }

    /// Returns whether a shard of this many bytes can contain it. The image may end later, as in a shard that
    /// was cut.
    pub(crate) fn fits(&self, shard: u64) -> bool {
        let lies_right = self.head < shard && (BLOCK..=shard).contains(&self.image);
        lies_right && self.label().is_none_or(|label| label < LABEL_LIMIT)
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.head.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.image.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.length.to_le_bytes());
        bytes[20..].copy_from_slice(&self.label.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let short = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Self { head: long(0), image: long(8), length: short(16), label: short(20) }
    }
}
