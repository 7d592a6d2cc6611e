//! The part of a shard that was read last.

use std::{io, ops::Range};

use super::block::BLOCK;
use crate::Shard;

const PAGE: u64 = 4096;

/// The part of a shard that was read last: short where headers are far apart, longer where they are close.
///
/// It is read from the file rather than mapped, which is three times faster for scattered headers, and cannot
/// raise SIGBUS.
#[derive(Debug)]
pub(super) struct Window<'a> {
    shard: &'a Shard,
    start: u64,
    bytes: Vec<u8>,
    /// The number of times in a row that a window followed closely on the one before.
    steps: u32,
}

impl<'a> Window<'a> {
    pub(super) fn new(shard: &'a Shard) -> Self {
        Self { shard, start: 0, bytes: Vec::new(), steps: 0 }
    }

    pub(super) fn shard(&self) -> &'a Shard {
        self.shard
    }

    pub(super) fn get(&mut self, range: Range<u64>) -> io::Result<&[u8]> {
        let end = self.start + self.bytes.len() as u64;
        if range.start < self.start || range.end > end {
            self.steps = if range.start.abs_diff(end) < 4 * PAGE { (self.steps + 1).min(6) } else { 0 };
            self.load(range.clone())?;
        }
        let start = (range.start - self.start) as usize;
        Ok(&self.bytes[start..start + (range.end - range.start) as usize])
    }

    fn load(&mut self, range: Range<u64>) -> io::Result<()> {
        let length = self.shard.len();
        if range.end > length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let ahead = if self.steps < 2 { 4 * BLOCK } else { PAGE << self.steps };
        let end = range.end.saturating_add(ahead).min(length);
        self.start = range.start;
        self.bytes.resize((end - range.start) as usize, 0);
        let result = self.shard.read(self.start, &mut self.bytes);
        if result.is_err() {
            self.bytes.clear();
        }
        result
    }
}
