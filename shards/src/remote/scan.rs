//! A whole shard, read block by block for its index or to verify it.

use std::{
    collections::VecDeque,
    io,
    ops::Range,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use bytes::{Bytes, BytesMut};

use super::fetch::{BLOCK, Claim, Fetcher, Target};
use crate::{Shard, shard::Ranges};

/// The number of blocks that are kept open, and of those that are wanted ahead.
const OPEN: usize = 2;
/// The number of blocks that are fetched ahead of the one that is read.
const AHEAD: u64 = 2;

/// Reads a shard in blocks, which stay in the cache as far as there is room.
#[derive(Debug)]
pub(super) struct Scan {
    fetcher: Arc<Fetcher>,
    target: Target,
    blocks: Mutex<Blocks>,
}

#[derive(Debug, Default)]
struct Blocks {
    /// The blocks used last, by number.
    open: VecDeque<(u64, Arc<Shard>)>,
    ahead: VecDeque<(u64, Claim)>,
}

impl Scan {
    pub(super) fn new(fetcher: Arc<Fetcher>, target: Target) -> Self {
        Self { fetcher, target, blocks: Mutex::default() }
    }

    fn block(&self, number: u64) -> io::Result<Arc<Shard>> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = blocks.open.iter().find(|(other, _)| *other == number) {
            return Ok(Arc::clone(block));
        }
        let is_next = blocks.open.back().is_none_or(|(last, _)| last + 1 == number);
        let count = self.target.version.size.div_ceil(BLOCK);
        let wanted = if is_next { number + 1..(number + 1 + AHEAD).min(count) } else { 0..0 };
        for next in wanted {
            if !blocks.ahead.iter().any(|(other, _)| *other == next) {
                let claim = self.fetcher.want(self.target.block(next));
                blocks.ahead.push_back((next, claim));
            }
        }
        let block = Arc::new(self.fetcher.open(self.target.block(number), &AtomicBool::new(false))?);
        blocks.ahead.retain(|(other, _)| *other > number && *other <= number + AHEAD);
        blocks.open.push_back((number, Arc::clone(&block)));
        if blocks.open.len() > OPEN {
            blocks.open.pop_front();
        }
        Ok(block)
    }
}

impl Ranges for Scan {
    fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let of = |number: u64| range.start.max(number * BLOCK)..range.end.min((number + 1) * BLOCK);
        let numbers = range.start / BLOCK..range.end.div_ceil(BLOCK).max(range.start / BLOCK + 1);
        if numbers.end - numbers.start == 1 {
            return self.block(numbers.start)?.slice(range);
        }
        let mut joined = BytesMut::with_capacity((range.end - range.start) as usize);
        for number in numbers {
            joined.extend_from_slice(&self.block(number)?.slice(of(number))?);
        }
        Ok(joined.freeze())
    }
}
