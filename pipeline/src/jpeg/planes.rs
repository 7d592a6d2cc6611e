//! Where decoded samples lie.

use std::ops::Range;

use super::{Header, Sampling};

/// A rectangle of pixels, which lies within its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Columns to the left of it.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Its columns, at least one.
    pub width: u32,
    /// Its rows, at least one.
    pub height: u32,
}

impl Region {
    /// All of an image.
    pub fn whole(header: &Header) -> Self {
        Self { left: 0, top: 0, width: header.width, height: header.height }
    }

    /// The smallest rectangle that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let (left, top) = (self.left.min(other.left), self.top.min(other.top));
        let right = (self.left + self.width).max(other.left + other.width);
        let bottom = (self.top + self.height).max(other.top + other.height);
        Self { left, top, width: right - left, height: bottom - top }
    }
}

/// A component's samples in memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Plane {
    /// Byte of the sample at the left and top of the region.
    pub(super) start: usize,
    /// Bytes from a column to the next.
    pub(super) stride: usize,
    /// The first column there is.
    left: usize,
    /// The first row there is.
    top: usize,
    /// Columns and rows that were decoded.
    columns: usize,
    rows: usize,
    /// Columns of the whole component, without the padding to full blocks.
    width: usize,
    /// Rows of the whole component.
    height: usize,
}

/// The components of a decoded region, column after column: what is done to all rows alike runs over plain memory.
#[derive(Debug, Default)]
pub struct Planes {
    pub(super) data: Vec<u8>,
    pub(super) planes: [Plane; 3],
}

/// MCUs that a region needs, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cover {
    pub(super) columns: Range<usize>,
    pub(super) rows: Range<usize>,
    /// MCUs in a row of the image.
    pub(super) across: usize,
}

impl Cover {
    /// The MCUs with the samples of `region`, those included that its chroma is interpolated from.
    pub(super) fn new(header: &Header, region: Region) -> Self {
        let (across, down) = header.sampling.factors();
        let axis = |from: u32, length: u32, size: u32, factor: usize| {
            let (from, to, size) = (from as usize, (from + length) as usize, size as usize);
            // Of each component, from the first sample to the last; halved chroma wants one more at either side.
            let neighbours = factor - 1;
            let first = (from / factor).saturating_sub(neighbours) / 8;
            let last = ((to - 1) / factor + neighbours).min((size - 1) / factor) / 8;
            first..last + 1
        };
        let columns = axis(region.left, region.width, header.width, across);
        let rows = axis(region.top, region.height, header.height, down);
        Self { columns, rows, across: (header.width as usize).div_ceil(8 * across) }
    }
}

impl Planes {
    /// Makes room for the MCUs of `cover`, keeping the memory.
    pub(super) fn reshape(&mut self, header: &Header, cover: &Cover) {
        let (across, down) = header.sampling.factors();
        self.planes = Default::default();
        let mut start = 0;
        for (number, plane) in self.planes.iter_mut().enumerate().take(header.sampling.components()) {
            // Blocks of this component in an MCU.
            let (h, v) = if number == 0 { (across, down) } else { (1, 1) };
            let (width, height) = (header.width as usize, header.height as usize);
            *plane = Plane {
                start,
                stride: stride(8 * v * cover.rows.len()),
                left: 8 * h * cover.columns.start,
                top: 8 * v * cover.rows.start,
                columns: 8 * h * cover.columns.len(),
                rows: 8 * v * cover.rows.len(),
                width: (width * h).div_ceil(across),
                height: (height * v).div_ceil(down),
            };
            start += plane.stride * 8 * h * cover.columns.len();
        }
        self.data.resize(start, 0);
    }

    /// Column `x` of component `number`, counted in samples of that component over the whole image; of its rows, `rows`.
    ///
    /// # Panics
    /// If they were not decoded.
    #[inline]
    pub fn column(&self, number: usize, x: usize, rows: Range<usize>) -> &[u8] {
        let plane = &self.planes[number];
        // Smaller ones than the first become large ones.
        let (x, from, to) = (
            x.wrapping_sub(plane.left),
            rows.start.wrapping_sub(plane.top),
            rows.end.wrapping_sub(plane.top),
        );
        assert!(x < plane.columns && from <= to && to <= plane.rows, "the samples were decoded");
        &self.data[plane.start + x * plane.stride..][from..to]
    }

    /// Columns and rows of component `number` over the whole image: those that belong to pixels. None of
    /// a component that the image has not.
    pub fn size(&self, number: usize) -> (usize, usize) {
        (self.planes[number].width, self.planes[number].height)
    }
}

/// Bytes for a column of so many rows: whole cache lines, an odd number of them, so that neighbouring columns do not
/// compete for the same lines of the cache.
fn stride(rows: usize) -> usize {
    let lines = rows.div_ceil(64);
    64 * (lines | 1)
}

impl Sampling {
    /// The blocks of an MCU in their order: component, column, row.
    pub(super) fn blocks(self) -> &'static [(usize, usize, usize)] {
        const LUMA: [(usize, usize, usize); 1] = [(0, 0, 0)];
        match self {
            Self::Gray => &LUMA,
            Self::Full => &[(0, 0, 0), (1, 0, 0), (2, 0, 0)],
            Self::HalfWidth => &[(0, 0, 0), (0, 1, 0), (1, 0, 0), (2, 0, 0)],
            Self::HalfHeight => &[(0, 0, 0), (0, 0, 1), (1, 0, 0), (2, 0, 0)],
            Self::Quarter => &[(0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 0, 0), (2, 0, 0)],
        }
    }
}
