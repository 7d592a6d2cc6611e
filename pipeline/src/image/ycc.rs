//! Luma and chroma as a JPEG holds them.

use std::ops::Range;

/// How often chroma is sampled against luma.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sampling {
    /// No chroma.
    #[default]
    Gray,
    /// 4:4:4, chroma at every pixel.
    Full,
    /// 4:2:2, at every second column.
    HalfWidth,
    /// 4:4:0, at every second row.
    HalfHeight,
    /// 4:2:0, at every second column of every second row.
    Quarter,
}

impl Sampling {
    /// Luma samples to a chroma sample: across, down.
    pub fn factors(self) -> (usize, usize) {
        match self {
            Self::Gray | Self::Full => (1, 1),
            Self::HalfWidth => (2, 1),
            Self::HalfHeight => (1, 2),
            Self::Quarter => (2, 2),
        }
    }

    /// Components: luma alone, or with two of chroma.
    pub fn components(self) -> usize {
        if self == Self::Gray { 1 } else { 3 }
    }
}

/// A component's samples in memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plane {
    /// Byte of the sample at the left and top of the region.
    pub(crate) start: usize,
    /// Bytes from a column to the next.
    pub(crate) stride: usize,
    /// The first column there is.
    pub(crate) left: usize,
    /// The first row there is.
    pub(crate) top: usize,
    /// Columns and rows that were decoded.
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    /// Columns of the whole component, without the padding to full blocks.
    pub(crate) width: usize,
    /// Rows of the whole component.
    pub(crate) height: usize,
}

/// The components of a decoded region, column after column: what is done to all rows alike runs over plain memory.
#[derive(Debug, Default)]
pub struct YccPlanes {
    /// Pixels in a row of the whole image.
    pub(crate) width: u32,
    /// Rows of the whole image.
    pub(crate) height: u32,
    /// How often chroma is sampled.
    pub(crate) sampling: Sampling,
    pub(crate) data: Vec<u8>,
    pub(crate) planes: [Plane; 3],
}

impl YccPlanes {
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
