//! Decodes the data of a scan into planes: chooses blocks and their order.

use super::{
    bits::{Bits, ScanBytes},
    cover::Cover,
    entropy::{Block, Coder},
    header::Header,
    huffman::{AcTable, DcTable},
    idct::{Idct, Place, Quantization},
    refusal::{Refusal, Result},
};
use crate::image::YccPlanes;

/// Everything needed to decode a scan.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    pub(super) header: &'a Header<'a>,
    pub(super) cover: &'a Cover,
    pub(super) bytes: &'a ScanBytes,
    pub(super) quantization: [&'a Quantization; 3],
    pub(super) dc: [&'a DcTable; 3],
    pub(super) ac: [&'a AcTable; 3],
}

/// The largest DC coefficient; files with larger ones are left to libjpeg-turbo.
const MAX_DC: i32 = 1 << 30;

impl Scan<'_> {
    /// Decodes the blocks of the cover into `planes`, and nothing below them.
    #[inline(always)]
    pub(super) fn run<I: Idct>(&self, idct: I, planes: &mut YccPlanes) -> Result<()> {
        let Cover { across, rows, .. } = self.cover;
        let interval =
            if self.header.restart_interval == 0 { usize::MAX } else { self.header.restart_interval };
        let (mut part, mut left) = (0, interval);
        let (mut bits, mut end) = self.bytes.part(0)?;
        let mut coders = self.coders();
        let mut queue = Queue::new(idct);
        for row in 0..rows.end {
            for column in 0..*across {
                if left == 0 {
                    check_end(&bits, end)?;
                    part += 1;
                    (bits, end) = self.bytes.part(part)?;
                    coders = self.coders();
                    left = interval;
                }
                left -= 1;
                let decoded = if row >= rows.start && self.cover.columns.contains(&column) {
                    self.mcu(&mut bits, &mut coders, &mut queue, (column, row), planes)
                } else {
                    self.skip_mcu(&mut bits, &mut coders)
                };
                if decoded.is_none() || bits.position() > end {
                    return Err(Refusal::Damaged);
                }
            }
            if coders.iter().any(|coder| coder.last_dc.abs() > MAX_DC) {
                return Err(Refusal::Damaged);
            }
        }
        // Bits after the last block are ignored.
        queue.flush(&self.quantization, planes);
        Ok(())
    }

    fn coders(&self) -> [Coder<'_>; 3] {
        std::array::from_fn(|i| Coder { dc: self.dc[i], ac: self.ac[i], last_dc: 0 })
    }

    #[inline(always)]
    fn mcu<I: Idct>(
        &self,
        bits: &mut Bits,
        coders: &mut [Coder; 3],
        queue: &mut Queue<I>,
        (column, row): (usize, usize),
        planes: &mut YccPlanes,
    ) -> Option<()> {
        let (column, row) = (column - self.cover.columns.start, row - self.cover.rows.start);
        let (across, down) = self.header.sampling.factors();
        for &(component, x, y) in self.header.sampling.blocks() {
            let plane = &planes.planes[component];
            let (h, v) = if component == 0 { (across, down) } else { (1, 1) };
            let at = plane.start + 8 * (column * h + x) * plane.stride + 8 * (row * v + y);
            let place = Place { component, at, stride: plane.stride };
            coders[component].block(bits, queue.next(place))?;
            queue.advance(&self.quantization, planes);
        }
        Some(())
    }

    #[inline(always)]
    fn skip_mcu(&self, bits: &mut Bits, coders: &mut [Coder; 3]) -> Option<()> {
        for &(component, ..) in self.header.sampling.blocks() {
            coders[component].skip_block(bits)?;
        }
        Some(())
    }
}

/// Checks that all bytes of a part have been consumed.
fn check_end(bits: &Bits, end: usize) -> Result<()> {
    if end.saturating_sub(bits.position()) < 8 { Ok(()) } else { Err(Refusal::Damaged) }
}

/// A queue of blocks that are transformed together when there are enough.
struct Queue<I> {
    idct: I,
    blocks: [Block; 4],
    places: [Place; 4],
    length: usize,
}

impl<I: Idct> Queue<I> {
    fn new(idct: I) -> Self {
        Self { idct, blocks: [Block([0; 256]); 4], places: [Place::default(); 4], length: 0 }
    }

    /// Returns the next block, filled with zeros.
    #[inline(always)]
    fn next(&mut self, place: Place) -> &mut Block {
        self.places[self.length] = place;
        let block = &mut self.blocks[self.length];
        block.0[..64].fill(0);
        block
    }

    /// Counts the next block, and transforms all when there are enough.
    #[inline(always)]
    fn advance(&mut self, quantization: &[&Quantization; 3], planes: &mut YccPlanes) {
        self.length += 1;
        if self.length == I::BLOCKS {
            self.transform(quantization, planes);
        }
    }

    #[inline(always)]
    fn transform(&mut self, quantization: &[&Quantization; 3], planes: &mut YccPlanes) {
        self.idct.run(&self.blocks, &self.places, quantization, &mut planes.data);
        self.length = 0;
    }

    /// Transforms the remaining blocks; the last one also takes the places of missing ones.
    fn flush(&mut self, quantization: &[&Quantization; 3], planes: &mut YccPlanes) {
        let Some(last) = self.length.checked_sub(1) else { return };
        for missing in last + 1..I::BLOCKS {
            (self.blocks[missing], self.places[missing]) = (self.blocks[last], self.places[last]);
        }
        self.transform(quantization, planes);
    }
}
