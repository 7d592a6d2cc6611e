//! Reading of the samples of one rank, by their number or at any place.

use std::{io, ops::Range, sync::Arc};

use super::{catalog::Catalog, opened::Opened};
use crate::{
    Encoded, Error, Place, Position, Result, Sample,
    division::Route,
    read::{self, Unreadable},
    source::Wanted,
    span::Span,
};

/// The most samples that one task reads.
const BLOCK: u64 = 64;
/// The number of blocks that are read at a time.
pub(super) const TASKS: usize = 8;
/// The number of samples that are read at a time.
pub(super) const READING: u64 = TASKS as u64 * BLOCK;
/// The most bytes of images that one task reads, unless a single image is larger: bounds the memory.
const BLOCK_BYTES: u64 = 8 << 20;

/// Reads the samples of one rank. Tasks and threads share it.
#[derive(Debug)]
pub(super) struct Reader {
    catalog: Arc<Catalog>,
    pub(super) route: Route,
    opened: Opened,
}

/// The samples of a block, which one task reads.
#[derive(Debug)]
pub(super) struct Plan {
    samples: Vec<Planned>,
    /// The number of the first sample after the block.
    pub(super) end: u64,
}

/// A sample to be read.
#[derive(Debug)]
struct Planned {
    index: u64,
    epoch: u64,
    next: Position,
}

impl Reader {
    pub(super) fn new(catalog: Arc<Catalog>, route: Route) -> Self {
        Self { opened: Opened::new(Arc::clone(&catalog)), catalog, route }
    }

    /// Plans the block that begins at the sample with the number `begin`. Places of its last batch that lie
    /// after the last epoch are left out.
    pub(super) fn plan(&self, begin: u64) -> Plan {
        let sequence = self.route.sequence();
        let mut epoch = sequence.epoch(self.route.place(begin).position.epoch);
        let (mut samples, mut bytes) = (Vec::with_capacity(BLOCK as usize), 0);
        for number in begin..begin + BLOCK {
            let Place { partition, position } = self.route.place(number);
            if sequence.is_over(position) {
                continue;
            }
            if epoch.number() != position.epoch {
                epoch = sequence.epoch(position.epoch);
            }
            let index = epoch.index(partition, position.offset);
            bytes += self.bytes(index);
            if bytes > BLOCK_BYTES && !samples.is_empty() {
                return Plan { samples, end: number };
            }
            samples.push(Planned { index, epoch: position.epoch, next: self.route.next(number) });
        }
        Plan { samples, end: begin + BLOCK }
    }

    /// Returns the number of samples to be fetched ahead, and the bytes that the cache may take; `None` if whole shards
    /// are at hand.
    pub(super) fn ahead(&self) -> Option<(u64, u64)> {
        let parts = self.catalog.source.parts()?;
        let bytes: u64 = self.catalog.stamps.iter().map(|stamp| stamp.size).sum();
        let ranks = self.route.ranks();
        // Where all fits, the second epoch reads from the cache alone.
        let all_fit = bytes <= parts.capacity() / 10 * 9;
        let samples = if all_fit { self.catalog.len() } else { self.route.sequence().window() };
        Some((samples.div_ceil(ranks), parts.capacity()))
    }

    /// Returns what is read together of a shard for the stream's sample `number`.
    pub(super) fn unit_of(&self, number: u64) -> Option<(usize, Range<u64>)> {
        self.catalog.unit(self.route.sequence().index(self.route.place(number)))
    }

    /// Begins to fetch a part of a shard.
    pub(super) fn want(&self, shard: usize, range: Range<u64>) -> Option<Wanted> {
        let Catalog { source, names, stamps, .. } = &*self.catalog;
        Some(source.parts()?.want(&names[shard], stamps[shard], range))
    }

    /// Ends all waiting for parts of shards.
    pub(super) fn end(&self) {
        self.opened.end();
    }

    /// Returns the size of a sample's image in bytes.
    fn bytes(&self, index: u64) -> u64 {
        self.catalog.span(index).map_or(0, |(_, span)| span.length.into())
    }

    /// Reads the samples of a block.
    pub(super) fn block(&self, plan: &Plan) -> Vec<Result<Sample>> {
        // All reads are announced first, so that a disk can serve them together.
        for planned in &plan.samples {
            self.announce(planned.index);
        }
        let mut samples = Vec::with_capacity(plan.samples.len());
        for planned in &plan.samples {
            samples.push(self.sample(planned));
            if matches!(samples.last(), Some(Err(error)) if !matches!(error, Error::Sample { .. })) {
                break; // the stream ends with it
            }
        }
        self.count(&plan.samples);
        samples
    }

    /// Reads the sample at any place, for the batch of the sample with the number `number`.
    pub(super) fn at(&self, place: Place, number: u64) -> Result<Sample> {
        let index = self.route.sequence().index(place);
        let planned = Planned { index, epoch: place.position.epoch, next: self.route.next(number) };
        let sample = self.sample(&planned);
        self.count(&[planned]);
        sample
    }

    /// Counts samples that were read.
    fn count(&self, samples: &[Planned]) {
        let bytes = samples.iter().map(|planned| self.bytes(planned.index)).sum();
        self.opened.count_mapped(samples.len() as u64, bytes);
    }

    fn announce(&self, index: u64) {
        let Some((number, span)) = self.catalog.span(index).filter(|_| self.catalog.source.parts().is_none())
        else {
            return;
        };
        if let Ok(shard) = self.opened.get(number) {
            // The header usually lies right before the image.
            let start = span.head.clamp(span.image.saturating_sub(1 << 16), span.image);
            shard.will_need(start..span.image + u64::from(span.length));
        }
    }

    fn sample(&self, &Planned { index, epoch, next }: &Planned) -> Result<Sample> {
        let fail = |key, source| self.catalog.sample_error(index, key, source);
        let (number, span) =
            self.catalog.span(index).ok_or_else(|| fail(None, io::ErrorKind::NotFound.into()))?;
        let (key, image) = self.read(index, number, span).map_err(|error| fail(error.key, error.source))?;
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

impl Reader {
    fn read(&self, index: u64, shard: usize, span: &Span) -> Result<(String, Encoded), Unreadable> {
        let failed = |source| Unreadable { key: None, source };
        let Some(parts) = self.catalog.source.parts() else {
            return read::sample(&*self.opened.get(shard).map_err(failed)?, span);
        };
        let (_, range) = self.catalog.unit(index).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let part = self.opened.part(parts, shard, range).map_err(failed)?;
        read::sample_of_part(&part, span, || self.opened.get(shard))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::indexing::IndexConfig, *};
    use crate::{Division, LocalSource, Order, ShardWriter, Shuffle};

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
        let route = Route::new(order, Division::default(), Position::default(), catalog.len()).unwrap();
        let reader = Reader::new(catalog, route);
        let blocks = [0, 2, 3, 4].map(|begin| reader.plan(begin));
        assert_eq!(blocks.map(|block| block.samples.len()), [2, 1, 1, 64]);
    }
}
