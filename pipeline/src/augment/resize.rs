//! Resizing exactly as Pillow does it.
//!
//! Both passes are the same sum of weighted rows, 32 bytes side by side. The horizontal pass runs first, on strips of
//! 32 rows that are turned so that their columns become rows; its result is rounded to 8 bits and turned back, each
//! colour into a plane of its own.

use crate::Rgb;

use super::{
    axis::{Axis, PRECISION},
    edit::Crop,
    planes::Planes,
    transpose::{COLUMNS, transpose},
};

/// Bytes that are summed side by side.
const LANES: usize = 32;

/// Resizes, keeping its memory.
#[derive(Debug, Default)]
pub(crate) struct Resizer {
    horizontal: Axis,
    vertical: Axis,
    /// A strip turned: `LANES` bytes for each byte of its rows.
    columns: Vec<u8>,
    /// A strip after the horizontal pass, still turned.
    narrow: Vec<u8>,
    /// All rows after the horizontal pass: three planes side by side in each.
    rows: Vec<u8>,
}

impl Resizer {
    /// Cuts `crop` out of `image` and resizes it to the size of `out`; pixels outside the crop play no part.
    ///
    /// With `mirrored`, the crop is one of the mirrored image.
    pub(crate) fn resize(&mut self, image: &Rgb, mirrored: bool, crop: Crop, out: &mut Planes) {
        self.horizontal.set(crop.width, out.width as u32);
        self.vertical.set(crop.height, out.height as u32);
        let mut left = crop.left;
        if mirrored {
            self.horizontal.mirror(crop.width);
            left = image.width - crop.left - crop.width;
        }
        let plane = out.width.next_multiple_of(LANES);
        self.columns.resize((3 * crop.width as usize).next_multiple_of(COLUMNS) * LANES, 0);
        self.narrow.resize(3 * plane * LANES, 0);
        self.rows.resize((crop.height as usize).next_multiple_of(LANES) * 3 * plane, 0);
        let bytes = 3 * left as usize..3 * (left + crop.width) as usize;
        let lines =
            image.pixels.chunks_exact(image.stride()).skip(crop.top as usize).map(|row| &row[bytes.clone()]);
        self.narrow_rows(lines.take(crop.height as usize), plane);
        sum_rows(&self.vertical, &self.rows, out);
    }

    fn narrow_rows<'a>(&mut self, mut lines: impl Iterator<Item = &'a [u8]>, plane: usize) {
        for strip in self.rows.chunks_exact_mut(LANES * 3 * plane) {
            let lines: [&[u8]; LANES] = std::array::from_fn(|_| lines.next().unwrap_or(&[]));
            turn_lines(&lines, &mut self.columns);
            sum_columns(&self.horizontal, &self.columns, &mut self.narrow);
            turn_back(&self.narrow, strip);
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn turn_lines(lines: &[&[u8]; LANES], columns: &mut [u8]) {
    for (i, lines) in lines.as_chunks::<8>().0.iter().enumerate() {
        transpose(*lines, &mut columns[8 * i..], LANES);
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn sum_columns(axis: &Axis, columns: &[u8], narrow: &mut [u8]) {
    let pixels = columns.as_chunks::<LANES>().0.as_chunks::<3>().0;
    let (narrow, _) = narrow.as_chunks_mut::<LANES>();
    for x in 0..axis.len() {
        let (span, weights) = axis.taps(x);
        let sums = weighted_sum(pixels[span].iter(), weights);
        let at = x / LANES * 3 * LANES + x % LANES;
        for (channel, sums) in sums.iter().enumerate() {
            narrow[at + channel * LANES] = *sums;
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn turn_back(narrow: &[u8], strip: &mut [u8]) {
    let pitch = strip.len() / LANES;
    for (i, lines) in narrow.as_chunks::<LANES>().0.as_chunks::<8>().0.iter().enumerate() {
        let [a, b, c, d, e, f, g, h] = lines;
        transpose([a, b, c, d, e, f, g, h], &mut strip[8 * i..], pitch);
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn sum_rows(axis: &Axis, rows: &[u8], out: &mut Planes) {
    let width = out.width;
    let groups = width.div_ceil(LANES);
    let rows = rows.as_chunks::<LANES>().0.as_chunks::<3>().0;
    let mut planes = out.rgb_mut();
    for y in 0..axis.len() {
        let (span, weights) = axis.taps(y);
        let rows = &rows[span.start * groups..span.end * groups];
        for group in 0..groups {
            let sums = weighted_sum(rows.chunks_exact(groups).map(|row| &row[group]), weights);
            let line = y * width + group * LANES..y * width + width.min((group + 1) * LANES);
            for (plane, sums) in planes.iter_mut().zip(&sums) {
                plane[line.clone()].copy_from_slice(&sums[..line.len()]);
            }
        }
    }
}

/// Triples of rows times their weights, rounded to 8 bits.
#[inline(always)]
fn weighted_sum<'a>(rows: impl Iterator<Item = &'a [[u8; LANES]; 3]>, weights: &[i32]) -> [[u8; LANES]; 3] {
    let mut sums = [[1 << (PRECISION - 1); LANES]; 3];
    for (rows, weight) in rows.zip(weights) {
        for channel in 0..3 {
            for lane in 0..LANES {
                sums[channel][lane] += weight * i32::from(rows[channel][lane]);
            }
        }
    }
    let mut rounded = [[0; LANES]; 3];
    for channel in 0..3 {
        for lane in 0..LANES {
            rounded[channel][lane] = (sums[channel][lane] >> PRECISION).clamp(0, 255) as u8;
        }
    }
    rounded
}
