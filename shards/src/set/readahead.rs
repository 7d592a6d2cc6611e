//! Samples in order, read ahead by tokio tasks.

use std::{collections::VecDeque, io, panic, sync::Arc, vec};

use async_channel::{Receiver, Sender};
use tokio::{
    runtime::{Builder, Runtime},
    task::{self, JoinError, JoinHandle},
};

use super::{catalog::Catalog, opened::Opened};
use crate::{Error, Order, Position, Result, Sample, Share, order::Sequence, read};

/// The most samples that one task reads.
const BLOCK: u64 = 64;
/// The most bytes of images that one task reads, unless a single image is larger: bounds the memory.
const BLOCK_BYTES: u64 = 8 << 20;
/// The number of blocks that are read at a time.
const TASKS: usize = 8;
/// The number of blocks that wait, read, to be taken.
const READY: usize = 2;

/// The samples of one rank in order, read ahead by a few threads.
///
/// A sample that cannot be read is yielded in its place as [`Error::Sample`], and the stream goes on; any
/// other error is the last item. Dropping the stream ends the reading and waits for it, which must not happen
/// inside of an async runtime.
#[derive(Debug)]
pub struct Samples {
    block: vec::IntoIter<Result<Sample>>,
    /// The blocks to come; `None` after the last one.
    blocks: Option<Receiver<Block>>,
    /// Dropped last: waits for reads that are under way.
    _runtime: Option<Runtime>,
}

type Block = Result<Vec<Result<Sample>>, JoinError>;

impl Samples {
    pub(super) fn spawn(catalog: Arc<Catalog>, order: Order, share: Share, from: Position) -> Self {
        Self::try_spawn(catalog, order, share, from).unwrap_or_else(|error| Self {
            block: vec![Err(error)].into_iter(),
            blocks: None,
            _runtime: None,
        })
    }

    fn try_spawn(catalog: Arc<Catalog>, order: Order, share: Share, from: Position) -> Result<Self> {
        let sequence = Sequence::new(order, share, catalog.len())?;
        sequence.check(from)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(TASKS)
            .thread_name("shards-readahead")
            .build()
            .map_err(|source| Error::Threads { source })?;
        let (sender, blocks) = async_channel::bounded(READY);
        let reader = Arc::new(Reader { opened: Opened::new(Arc::clone(&catalog)), catalog, sequence });
        runtime.spawn(read_ahead(reader, from, sender));
        Ok(Self { block: Vec::new().into_iter(), blocks: Some(blocks), _runtime: Some(runtime) })
    }
}

impl Iterator for Samples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(sample) = self.block.next() {
                return Some(sample);
            }
            match self.blocks.as_ref()?.recv_blocking() {
                Ok(Ok(block)) => self.block = block.into_iter(),
                Ok(Err(failure)) => panic::resume_unwind(failure.into_panic()),
                Err(_) => self.blocks = None,
            }
        }
    }
}

/// Keeps up to [`TASKS`] blocks being read, and sends them on in order, until all are read or the receiver is
/// dropped.
async fn read_ahead(reader: Arc<Reader>, from: Position, sender: Sender<Block>) {
    let mut position = from;
    let mut tasks: VecDeque<JoinHandle<Vec<Result<Sample>>>> = VecDeque::with_capacity(TASKS);
    loop {
        while tasks.len() < TASKS && !reader.sequence.is_over(position) {
            let (begin, indices) = (position, reader.plan(position));
            position = reader.sequence.advance(begin, indices.len() as u64);
            let reader_of_task = Arc::clone(&reader);
            tasks.push_back(task::spawn_blocking(move || reader_of_task.block(begin, &indices)));
        }
        let Some(first) = tasks.pop_front() else { return };
        if sender.send(first.await).await.is_err() {
            return;
        }
    }
}

/// The state that the tasks share.
#[derive(Debug)]
struct Reader {
    catalog: Arc<Catalog>,
    sequence: Sequence,
    opened: Opened,
}

impl Reader {
    /// Returns the indices of the block that begins at a position, all of one epoch.
    fn plan(&self, begin: Position) -> Vec<u64> {
        let epoch = self.sequence.epoch(begin.epoch);
        let count = BLOCK.min(self.sequence.left(begin));
        let mut indices = Vec::with_capacity(count as usize);
        let mut bytes = 0;
        for offset in begin.offset..begin.offset + count {
            let index = epoch.index(offset);
            bytes += self.bytes(index);
            if bytes > BLOCK_BYTES && !indices.is_empty() {
                break;
            }
            indices.push(index);
        }
        indices
    }

    /// Returns the size of a sample's image in bytes.
    fn bytes(&self, index: u64) -> u64 {
        self.catalog.span(index).map_or(0, |(_, span)| span.length.into())
    }

    /// Reads samples of one epoch.
    fn block(&self, begin: Position, indices: &[u64]) -> Vec<Result<Sample>> {
        // All reads are announced first, so that a disk can serve them together.
        for &index in indices {
            self.announce(index);
        }
        let sample = |(i, &index)| {
            let next = self.sequence.advance(begin, i as u64 + 1);
            self.sample(index, begin.epoch, next)
        };
        let samples = indices.iter().enumerate().map(sample).collect();
        let bytes = indices.iter().map(|&index| self.bytes(index)).sum();
        self.opened.count_mapped(indices.len() as u64, bytes);
        samples
    }

    fn announce(&self, index: u64) {
        let Some((number, span)) = self.catalog.span(index) else {
            return;
        };
        if let Ok(shard) = self.opened.get(number) {
            // The header usually lies right before the image.
            let start = span.head.clamp(span.image.saturating_sub(1 << 16), span.image);
            shard.will_need(start..span.image + u64::from(span.length));
        }
    }

    fn sample(&self, index: u64, epoch: u64, next: Position) -> Result<Sample> {
        let fail = |key, source| self.catalog.sample_error(index, key, source);
        let (number, span) =
            self.catalog.span(index).ok_or_else(|| fail(None, io::ErrorKind::NotFound.into()))?;
        let shard = self.opened.get(number).map_err(|source| fail(None, source))?;
        let (key, image) = read::sample(&shard, span).map_err(|error| fail(error.key, error.source))?;
        Ok(Sample {
            shard: self.catalog.names[number].shared(),
            key,
            offset: span.image,
            index,
            epoch,
            image,
            label: span.label(),
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::indexing::IndexConfig, *};
    use crate::{LocalSource, ShardWriter, Shuffle};

    #[test]
    fn a_block_of_large_images_has_few_samples() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let mut writer = ShardWriter::create(&path).unwrap();
        // Three images of 3 MB, one larger than a block, and more small ones than fit into a block.
        let sizes = [3_000_000; 3].into_iter().chain([9_000_000]).chain([10; 70]);
        for (number, size) in sizes.enumerate() {
            writer.append(&number.to_string(), &[("jpg", &vec![1; size])]).unwrap();
        }
        writer.finish().unwrap();
        let source = Arc::new(LocalSource::new(&[path.display().to_string()]).unwrap());
        let catalog = Arc::new(Catalog::read(source, &IndexConfig::default()).unwrap());
        let order = Order { shuffle: Shuffle::None, ..Order::default() };
        let sequence = Sequence::new(order, Share::default(), catalog.len()).unwrap();
        let reader = Reader { opened: Opened::new(Arc::clone(&catalog)), catalog, sequence };
        let blocks = [0, 2, 3, 4].map(|offset| reader.plan(Position { epoch: 0, offset }));
        assert_eq!(blocks.map(|block| block.len()), [2, 1, 1, 64]);
    }
}
