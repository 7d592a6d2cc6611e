//! The image type from which crops are resized.

use super::{
    interleave::deinterleave,
    region::Region,
    rgb::Rgb,
    to_rgb::Converter,
    transpose::{self, transpose},
    ycc::YccPlanes,
};
use crate::cpu::{Cpu, versions};

/// A part of an image in three planes, laid out for resizing: pairs of columns, in each pair the rows from
/// top to bottom, and of each row the two bytes side by side.
#[derive(Debug, Default)]
pub(crate) struct PixelPairs {
    cpu: Cpu,
    /// The width of the whole image, in pixels.
    pub(crate) width: u32,
    /// The height of the whole image, in pixels.
    pub(crate) height: u32,
    /// The meaning of the planes.
    pub(crate) colours: Colours,
    planes: [PairPlane; 3],
    data: Vec<u8>,
    converter: Converter,
    /// Scratch: four rows of an interleaved image, separated by colour.
    rows: Vec<u8>,
}

/// The meaning of three planes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Colours {
    /// Red, green and blue.
    #[default]
    Rgb,
    /// Luma and two planes of chroma, with this many pixels to a chroma sample, across and down.
    Ycc(usize, usize),
}

/// The layout of a plane.
#[derive(Debug, Clone, Copy, Default)]
struct PairPlane {
    start: usize,
    /// The distance from one pair of columns to the next, in bytes.
    pitch: usize,
    /// The first stored column, which is even.
    left: usize,
    /// The first stored row, which is even.
    top: usize,
    /// The number of columns of the whole image in this plane.
    width: usize,
    /// The number of rows of the whole image in this plane.
    height: usize,
}

/// The number of lanes that may be read beyond the stored rows.
const SLACK: usize = 31;

impl PixelPairs {
    /// Makes an empty image whose loops use this instruction set.
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self { cpu, converter: Converter::new(cpu), ..Self::default() }
    }

    /// Loads a whole interleaved image.
    pub(crate) fn load_rgb(&mut self, image: &Rgb) {
        (self.width, self.height, self.colours) = (image.width, image.height, Colours::Rgb);
        let (width, height) = (image.width as usize, image.height as usize);
        // Room for whole blocks of the transposition.
        let pairs = width.div_ceil(2).next_multiple_of(transpose::PAIRS);
        self.reshape([Area { left: 0, top: 0, pairs, rows: height, width, height }; 3]);
        let pitch = 2 * pairs;
        self.rows.resize(3 * transpose::ROWS * pitch, 0);
        let plane = transpose::ROWS * pitch;
        for (block, rows) in image.pixels.chunks(transpose::ROWS * image.stride()).enumerate() {
            let (red, rest) = self.rows.split_at_mut(plane);
            let (green, blue) = rest.split_at_mut(plane);
            for (i, row) in rows.chunks_exact(image.stride()).enumerate() {
                let at = i * pitch..i * pitch + width;
                let (red, green, blue) = (&mut red[at.clone()], &mut green[at.clone()], &mut blue[at]);
                deinterleave(self.cpu, row, red, green, blue);
            }
            for (number, rows) in self.rows.chunks_exact(plane).enumerate() {
                let PairPlane { start, pitch: out_pitch, .. } = self.planes[number];
                let out = &mut self.data[start + 2 * transpose::ROWS * block..];
                transpose(self.cpu, rows, pitch, pairs, out, out_pitch);
            }
        }
    }

    /// Loads the part of a decoded JPEG that `region` needs, converted to red, green and blue as by
    /// libjpeg-turbo, with chroma interpolated by triangles.
    pub(crate) fn load_ycc_as_rgb(&mut self, planes: &YccPlanes, region: Region) {
        self.load_size(planes, Colours::Rgb);
        let area = Area::of(region, planes.width, planes.height);
        self.reshape([area; 3]);
        self.converter.start(planes.sampling, area.top, area.rows);
        for pair in 0..area.pairs {
            let out = self.planes.map(|plane| plane.start + pair * plane.pitch);
            let out = out.map(|start| start..start + 2 * area.rows.next_multiple_of(2));
            let out = self.data.get_disjoint_mut(out).expect("planes do not overlap");
            self.converter.convert(planes, area.left + 2 * pair, out);
        }
    }

    /// Loads the part of a decoded JPEG that `region` needs, without conversion.
    pub(crate) fn load_ycc(&mut self, planes: &YccPlanes, region: Region) {
        let (across, down) = planes.sampling.factors();
        self.load_size(planes, Colours::Ycc(across, down));
        let luma = Area::of(region, planes.width, planes.height);
        let (width, height) = planes.size(planes.sampling.components() - 1);
        let chroma = Area::of(
            halved(region, (across, down), (width as u32, height as u32)),
            width as u32,
            height as u32,
        );
        self.reshape([luma, chroma, chroma]);
        for (number, area) in [luma, chroma, chroma].into_iter().enumerate() {
            let plane = self.planes[number];
            if number >= planes.sampling.components() {
                self.data[plane.start..plane.start + area.pairs * plane.pitch].fill(128);
                continue;
            }
            for pair in 0..area.pairs {
                let rows = area.top..area.top + area.rows;
                let x = area.left + 2 * pair;
                let [first, second] =
                    [x, (x + 1).min(area.width - 1)].map(|x| planes.column(number, x, rows.clone()));
                let start = plane.start + pair * plane.pitch;
                let out = &mut self.data[start..start + 2 * area.rows];
                join(self.cpu, first, second, out);
            }
        }
    }

    fn load_size(&mut self, planes: &YccPlanes, colours: Colours) {
        (self.width, self.height, self.colours) = (planes.width, planes.height, colours);
    }

    fn reshape(&mut self, areas: [Area; 3]) {
        let mut start = 0;
        for (plane, area) in self.planes.iter_mut().zip(areas) {
            let Area { left, top, pairs, rows, width, height } = area;
            // An odd number of cache lines, so that neighbouring pairs do not compete for the same lines.
            let pitch = 64 * ((2 * (rows + SLACK)).div_ceil(64) | 1);
            *plane = PairPlane { start, pitch, left, top, width, height };
            start += pairs * pitch;
        }
        self.data.resize(start, 0);
    }

    /// Returns the first stored column and row of a plane.
    pub(crate) fn origin(&self, number: usize) -> (usize, usize) {
        (self.planes[number].left, self.planes[number].top)
    }

    /// Returns the number of columns and rows of the whole image in a plane.
    pub(crate) fn plane_size(&self, number: usize) -> (usize, usize) {
        (self.planes[number].width, self.planes[number].height)
    }

    /// Returns the distance from one pair of a plane's columns to the next, in bytes.
    pub(crate) fn pitch(&self, number: usize) -> usize {
        self.planes[number].pitch
    }

    /// Returns a plane's pairs from row `top` on.
    pub(crate) fn rows(&self, number: usize, top: usize) -> &[u8] {
        let plane = self.planes[number];
        &self.data[plane.start + 2 * (top - plane.top)..]
    }
}

/// The stored part of a plane.
#[derive(Debug, Clone, Copy)]
struct Area {
    left: usize,
    top: usize,
    pairs: usize,
    rows: usize,
    width: usize,
    height: usize,
}

impl Area {
    fn of(region: Region, width: u32, height: u32) -> Self {
        let (left, top) = (region.left as usize & !1, region.top as usize & !1);
        let (right, bottom) = ((region.left + region.width) as usize, (region.top + region.height) as usize);
        let pairs = (right - left).div_ceil(2);
        Self { left, top, pairs, rows: bottom - top, width: width as usize, height: height as usize }
    }
}

/// Returns the chroma samples that a region is interpolated from, including neighbours.
fn halved(region: Region, (across, down): (usize, usize), (width, height): (u32, u32)) -> Region {
    let axis = |from: u32, length: u32, factor: u32, size: u32| {
        let neighbours = factor - 1;
        let first = (from / factor).saturating_sub(neighbours);
        let last = ((from + length - 1) / factor + neighbours).min(size - 1);
        (first, last + 1 - first)
    };
    let (left, width) = axis(region.left, region.width, across as u32, width);
    let (top, height) = axis(region.top, region.height, down as u32, height);
    Region { left, top, width, height }
}

versions! {
    /// Interleaves two columns.
    fn join(first: &[u8], second: &[u8], out: &mut [u8]) {
        for ((out, &first), &second) in out.as_chunks_mut().0.iter_mut().zip(first).zip(second) {
            *out = (u16::from(first) | u16::from(second) << 8).to_le_bytes();
        }
    }
}
