//! Fetching ahead of shards that lie elsewhere.

use std::{collections::HashMap, sync::Arc};

use super::reader::{READING, Reader};
use crate::source::Wanted;

/// The most samples that are looked at in one call, so that the blocks to be read now do not wait for it.
const STEP: u64 = 4096;
/// The bytes that are wanted at least, whatever the shuffle, unless they are more than half of the cache.
const LEAST: u64 = 256 << 20;

/// Wants the parts of the samples to come, in their order.
///
/// It is ahead of the blocks by a window of the shuffle, since the first samples of a window need almost all of its
/// parts, and by 256 MB; if the whole set fits into the cache, by an epoch.
#[derive(Debug)]
pub(super) struct Scout {
    reader: Arc<Reader>,
    /// The number of the first sample that was not looked at.
    next: u64,
    /// The number of samples to be ahead.
    ahead: u64,
    /// The wanted parts, by shard and first byte, each with the last of the samples looked at that needs it.
    wanted: HashMap<(usize, u64), Part>,
    /// The bytes of the wanted parts.
    bytes: u64,
    /// The bytes that are wanted at least.
    least: u64,
    /// The number of the sample at which parts were last released.
    released: u64,
}

#[derive(Debug)]
struct Part {
    last: u64,
    bytes: u64,
    _wanted: Option<Wanted>,
}

impl Scout {
    /// Makes a scout, if the set is read in parts.
    pub(super) fn new(reader: Arc<Reader>) -> Option<Self> {
        let (ahead, capacity) = reader.ahead()?;
        let least = LEAST.min(capacity / 2);
        Some(Self { reader, next: 0, ahead, wanted: HashMap::new(), bytes: 0, least, released: 0 })
    }

    /// Goes ahead of the block that begins at the sample `begin`, and releases what only earlier samples needed.
    pub(super) fn advance(&mut self, begin: u64) {
        self.next = self.next.max(begin);
        for _ in 0..STEP {
            let is_far = self.next >= begin.saturating_add(self.ahead);
            if is_far && self.bytes >= self.least || self.reader.route.is_over(self.next) {
                break;
            }
            self.look_at(self.next);
            self.next += 1;
        }
        if begin - self.released >= self.ahead / 8 {
            self.released = begin;
            // Blocks before this one may still be read.
            self.wanted.retain(|_, part| part.last + READING >= begin);
            self.bytes = self.wanted.values().map(|part| part.bytes).sum();
        }
    }

    fn look_at(&mut self, number: u64) {
        let Some((shard, range)) = self.reader.unit_of(number) else { return };
        let bytes = range.end - range.start;
        let part = self.wanted.entry((shard, range.start)).or_insert_with(|| {
            self.bytes += bytes;
            Part { last: number, bytes, _wanted: self.reader.want(shard, range) }
        });
        part.last = number;
    }
}
