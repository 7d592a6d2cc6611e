//! Luma and chroma as stored in a JPEG.

use std::ops::Range;

/// The sampling of chroma relative to luma.
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
    /// Returns the number of luma samples to a chroma sample, (across, down).
    pub fn factors(self) -> (usize, usize) {
        match self {
            Self::Gray | Self::Full => (1, 1),
            Self::HalfWidth => (2, 1),
            Self::HalfHeight => (1, 2),
            Self::Quarter => (2, 2),
        }
    }

    /// Returns the number of components: luma alone, or luma and two of chroma.
    pub fn components(self) -> usize {
        if self == Self::Gray { 1 } else { 3 }
    }
}

/// The layout of a component's samples in memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plane {
    /// The offset of the first decoded sample, in bytes.
    pub(crate) start: usize,
    /// The distance from one column to the next, in bytes.
    pub(crate) stride: usize,
    /// The first decoded column.
    pub(crate) left: usize,
    /// The first decoded row.
    pub(crate) top: usize,
    /// The number of decoded columns and rows.
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    /// The number of columns of the whole component, without the padding to full blocks.
    pub(crate) width: usize,
    /// The number of rows of the whole component.
    pub(crate) height: usize,
}

/// The components of a decoded region, column by column, so that operations on all rows read memory
/// sequentially.
#[derive(Debug, Default)]
pub struct YccPlanes {
    /// The width of the whole image, in pixels.
    pub(crate) width: u32,
    /// The height of the whole image, in pixels.
    pub(crate) height: u32,
    /// The sampling of chroma.
    pub(crate) sampling: Sampling,
    pub(crate) data: Vec<u8>,
    pub(crate) planes: [Plane; 3],
}

impl YccPlanes {
    /// Returns the rows `rows` of column `x` of component `number`, both counted over the whole component.
    ///
    /// # Panics
    /// If they were not decoded.
    #[inline]
    pub fn column(&self, number: usize, x: usize, rows: Range<usize>) -> &[u8] {
        let plane = &self.planes[number];
        // A column or row before the first wraps to a huge number.
        let (x, from, to) = (
            x.wrapping_sub(plane.left),
            rows.start.wrapping_sub(plane.top),
            rows.end.wrapping_sub(plane.top),
        );
        assert!(x < plane.columns && from <= to && to <= plane.rows, "the samples were decoded");
        &self.data[plane.start + x * plane.stride..][from..to]
    }

    /// Returns the numbers of columns and rows of component `number` in the whole image, without padding;
    /// zeros if the image does not have the component.
    pub fn size(&self, number: usize) -> (usize, usize) {
        (self.planes[number].width, self.planes[number].height)
    }
}
