//! The blocks that a region needs, and the places of their samples.

use std::ops::Range;

use super::header::Header;
use crate::image::{Plane, Region, Sampling, YccPlanes};

/// The MCUs that a region needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cover {
    pub(super) columns: Range<usize>,
    pub(super) rows: Range<usize>,
    /// The number of MCUs in a row of the image.
    pub(super) across: usize,
}

impl Cover {
    /// Finds the MCUs with the samples of `region`, including those that its chroma is interpolated from.
    pub(super) fn new(header: &Header, region: Region) -> Self {
        let (across, down) = header.sampling.factors();
        let axis = |from: u32, length: u32, size: u32, factor: usize| {
            let (from, to, size) = (from as usize, (from + length) as usize, size as usize);
            // From the first to the last sample of each component; halved chroma needs one more on either
            // side.
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

impl YccPlanes {
    /// Makes room for the MCUs of `cover`, reusing the memory.
    pub(super) fn reshape(&mut self, header: &Header, cover: &Cover) {
        (self.width, self.height, self.sampling) = (header.width, header.height, header.sampling);
        let (across, down) = header.sampling.factors();
        self.planes = Default::default();
        let mut start = 0;
        for (number, plane) in self.planes.iter_mut().enumerate().take(header.sampling.components()) {
            // The blocks of this component in an MCU.
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
}

/// Returns the bytes of a column of `rows` rows: an odd number of cache lines, so that neighbouring columns
/// do not compete for the same lines.
fn stride(rows: usize) -> usize {
    let lines = rows.div_ceil(64);
    64 * (lines | 1)
}

impl Sampling {
    /// Returns the blocks of an MCU in their order: component, column, row.
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
