//! Resizing as Pillow does it, to the bit; or close to it, from luma and chroma as stored in a JPEG.
//!
//! The horizontal pass runs first, over pairs of columns. Its result is rounded to 8 bits and transposed, so
//! that pairs of rows lie side by side for the vertical pass, which computes the same sums.

use super::{
    axis::Axis,
    edit::Crop,
    filter::Filter,
    fold::{Interpolation, fold},
    weigh::{LANES, Lines, Taps, weigh},
};
use crate::{
    Cpu,
    image::{Colours, PAIRS, PixelPairs, ROWS, RgbPlanes, convert_in_place, transpose},
};

/// Resizes images, reusing its memory.
#[derive(Debug, Default)]
pub(crate) struct Resizer {
    cpu: Cpu,
    horizontal: Axis,
    vertical: Axis,
    columns: Taps,
    rows: Taps,
    /// Scratch: weights of chroma samples.
    samples: Vec<i32>,
    /// A plane after the horizontal pass, column by column.
    narrow: Vec<u8>,
    /// That plane as pairs of rows.
    turned: Vec<u8>,
}

/// A crop that is resized.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resizing {
    /// The crop, of the image or of its mirror image.
    pub(crate) crop: Crop,
    pub(crate) filter: Filter,
    /// Whether the crop is one of the mirror image.
    pub(crate) from_mirrored: bool,
    /// Whether the result is mirrored.
    pub(crate) is_mirrored: bool,
}

impl Resizer {
    /// Makes a resizer that uses this instruction set.
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self { cpu, ..Self::default() }
    }

    /// Crops the image and resizes the crop to the size of `out`; pixels outside of the crop have no
    /// influence.
    pub(crate) fn resize(&mut self, image: &PixelPairs, view: Resizing, out: &mut RgbPlanes) {
        let Resizing { crop, filter, from_mirrored, is_mirrored } = view;
        self.horizontal.set(self.cpu, filter, crop.width, out.width as u32);
        self.vertical.set(self.cpu, filter, crop.height, out.height as u32);
        let mut left = crop.left;
        if from_mirrored {
            self.horizontal.mirror(crop.width);
            left = image.width - crop.left - crop.width;
        }
        if is_mirrored {
            self.horizontal.reverse();
        }
        let (left, top) = (left as usize, crop.top as usize);
        let rows = top..top + crop.height as usize;
        match image.colours {
            Colours::Rgb => {
                self.set_exact(left - image.origin(0).0);
                for (number, out) in out.planes_mut().enumerate() {
                    self.plane::<true>(image, number, rows.clone(), out);
                }
            }
            Colours::Ycc(across, down) => {
                let mut rows = 0..0;
                for (number, out) in out.planes_mut().enumerate() {
                    // Both chroma planes have the same taps.
                    if number < 2 {
                        let factors = if number == 0 { (1, 1) } else { (across, down) };
                        rows = self.set_rounded(image, number, (left, top), factors);
                    }
                    self.plane::<false>(image, number, rows.clone(), out);
                }
                let [luma, blue, red] = out.rgb_mut();
                convert_in_place(self.cpu, luma, blue, red);
            }
        }
    }

    fn set_exact(&mut self, left: usize) {
        for (axis, taps, offset) in
            [(&self.horizontal, &mut self.columns, left), (&self.vertical, &mut self.rows, 0)]
        {
            taps.clear();
            for x in 0..axis.len() {
                let (span, weights) = axis.taps(x);
                taps.push_exact(offset + span.start, weights);
            }
        }
    }

    /// Sets the taps for a plane with `across`×`down` pixels to a sample. Returns the rows of the plane that
    /// they read.
    fn set_rounded(
        &mut self,
        image: &PixelPairs,
        number: usize,
        (left, top): (usize, usize),
        (across, down): (usize, usize),
    ) -> std::ops::Range<usize> {
        let (first_column, _) = image.origin(number);
        let (width, height) = image.plane_size(number);
        // As libjpeg does: chroma of one or two columns is repeated, vertically as well as horizontally.
        let is_smooth = across == 1 || width > 2;
        let columns = Interpolation { factor: across, size: width, is_smooth };
        let rows = Interpolation { factor: down, size: height, is_smooth };
        fold(&self.horizontal, left, columns, first_column, &mut self.samples, &mut self.columns);
        let first_row = (top / down).saturating_sub(down - 1);
        let rows = fold(&self.vertical, top, rows, first_row, &mut self.samples, &mut self.rows);
        first_row..first_row + rows
    }

    /// Runs both passes over one plane; the taps count rows from the first of `rows`.
    fn plane<const EXACT: bool>(
        &mut self,
        image: &PixelPairs,
        number: usize,
        rows: std::ops::Range<usize>,
        out: (usize, &mut [u8]),
    ) {
        let (width, out) = out;
        let lanes = rows.len();
        let pitch = lanes.next_multiple_of(2 * PAIRS);
        self.narrow.resize(width.next_multiple_of(ROWS) * pitch, 0);
        let lines = Lines { bytes: image.rows(number, rows.start), pitch: image.pitch(number), lanes };
        weigh::<EXACT>(self.cpu, lines, &self.columns, &mut self.narrow, pitch);
        let out_pitch = 2 * width.next_multiple_of(LANES);
        self.turned.resize(pitch / 2 * out_pitch, 0);
        transpose(self.cpu, &self.narrow, pitch, pitch / 2, &mut self.turned, out_pitch);
        let lines = Lines { bytes: &self.turned, pitch: out_pitch, lanes: width };
        weigh::<EXACT>(self.cpu, lines, &self.rows, out, width);
    }
}
