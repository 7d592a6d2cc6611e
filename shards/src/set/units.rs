//! What is read together of a shard that lies elsewhere: the neighbours of a chunk.

use std::ops::Range;

use super::{catalog::Catalog, reader::READING};
use crate::{order::CHUNK, read, span::Span};

/// The largest distance in bytes between two neighbours that are read together: a request costs as much time as some
/// 256 KB.
const GAP: u64 = 256 << 10;
/// The most bytes that are read together, unless a single image is larger.
const MOST: u64 = 16 << 20;

impl Catalog {
    /// Returns the bytes of its shard that are read together with a sample, and the number of the shard.
    ///
    /// They are those of the samples of its chunk, as far as these lie in the same shard and close together.
    pub(super) fn unit(&self, index: u64) -> Option<(usize, Range<u64>)> {
        let (shard, _) = self.span(index)?;
        let (start, spans) = (self.starts[shard], &self.spans[shard]);
        let chunk = index - index % CHUNK;
        let first = chunk.saturating_sub(start) as usize;
        let last = ((chunk + CHUNK).saturating_sub(start) as usize).min(spans.len());
        let range = unit_of(&spans[first..last], (index - start) as usize - first)?;
        Some((shard, range))
    }
}

impl Catalog {
    /// Returns the bytes that a cache needs so that a window of so many samples is read once: those of two windows,
    /// since one is filled while the other one is used, and of the samples that are being read.
    pub(super) fn needed(&self, window: u64) -> u64 {
        let total: u64 = self.stamps.iter().map(|stamp| stamp.size).sum();
        let per_sample = total / self.len().max(1) + 1;
        let samples = window.saturating_mul(2).saturating_add(READING + 4 * CHUNK);
        samples.saturating_mul(per_sample).min(total + total / 50)
    }
}

/// Divides neighbours into units, and returns the bytes of the one with the sample `number`.
fn unit_of(spans: &[Span], number: usize) -> Option<Range<u64>> {
    let mut unit: Option<Range<u64>> = None;
    for (at, span) in spans.iter().enumerate() {
        let own = read::extent(span);
        match &mut unit {
            Some(unit)
                if unit.end <= own.start && own.start - unit.end < GAP && own.end - unit.start <= MOST =>
            {
                unit.end = own.end;
            }
            _ if at > number => break,
            _ => unit = Some(own),
        }
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::NO_LABEL;

    fn span(head: u64, image: u64, length: u32) -> Span {
        Span { head, image, length, label: NO_LABEL }
    }

    #[test]
    fn close_neighbours_are_one_unit() {
        let spans = [span(0, 512, 1000), span(2048, 2560, 10), span(3072, 3584, 7)];
        for number in 0..3 {
            assert_eq!(unit_of(&spans, number), Some(0..3591));
        }
    }

    #[test]
    fn distant_neighbours_large_ones_and_links_are_units_of_their_own() {
        let far = 2048 + GAP;
        let spans = [
            span(0, 512, 1000),
            span(far, far + 512, 10),
            span(far + 1024, 512, 1000), // a link to the first image
            span(far + 2048, far + 2560, MOST as u32),
            span(far + 4096 + MOST, far + 4608 + MOST, 1),
        ];
        let units: Vec<_> = (0..5).filter_map(|number| unit_of(&spans, number)).collect();
        let (large, last) = (far + 2048..far + 2560 + MOST, far + 4096 + MOST..far + 4609 + MOST);
        assert_eq!(units, [0..1512, far..far + 522, 512..1512, large, last]);
    }
}
