//! Pillow's Gaussian blur (`BoxBlur.c`): three box blurs along the rows, then three along the columns, each
//! rounded to 8 bits.
//!
//! A box has a fractional radius: the two pixels next to its whole part count in part. All loops run over
//! the pixels of a row, for columns too.

use std::mem;

use crate::{
    cpu::{Cpu, versions},
    image::RgbPlanes,
};

/// The number of box blurs along each axis.
const PASSES: usize = 3;

/// The number of rows that are blurred together, such that they stay in the first-level cache.
const ROWS: usize = 8;

/// The number of fractional bits of a weight.
const PRECISION: u32 = 24;

/// The largest standard deviation: sums of its boxes fit into 16 bits.
const MOST: usize = 128;

/// A box filter: pixels up to `radius` away have the weight `inner`, the next ones on both sides `outer`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct BoxFilter {
    radius: usize,
    inner: u32,
    outer: u32,
}

impl BoxFilter {
    /// Finds the box whose threefold convolution has the standard deviation `sigma` (Gwosdek et al. 2011),
    /// in single precision as Pillow does.
    fn new(sigma: f32) -> Self {
        let variance = sigma * sigma / PASSES as f32;
        let length = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
        let whole = ((f64::from(length) - 1.0) / 2.0).floor() as f32;
        let part = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance);
        let part = part / (6.0 * (variance - (whole + 1.0) * (whole + 1.0)));
        let length = whole + part;
        let radius = length as u32;
        let inner = ((1 << PRECISION) as f32 / (length * 2.0 + 1.0)) as u32;
        let outer = ((1 << PRECISION) - (2 * radius + 1) * inner) / 2;
        Self { radius: radius as usize, inner, outer }
    }

    /// Weighs the sum of the inner pixels and that of the two outer ones.
    #[inline(always)]
    fn mean(self, inner: u16, outer: u16) -> u8 {
        self.mean_wide(u32::from(inner), u32::from(outer)) as u8
    }

    /// Weighs sums as [`mean`](Self::mean) does, in 32 bits.
    #[inline(always)]
    fn mean_wide(self, inner: u32, outer: u32) -> u32 {
        (inner * self.inner + outer * self.outer + (1 << (PRECISION - 1))) >> PRECISION
    }
}

/// Blurs images, reusing its memory.
#[derive(Debug, Default)]
pub(crate) struct Blur {
    cpu: Cpu,
    /// A plane between passes.
    plane: Vec<u8>,
    /// Rows, continued at both ends by their outermost pixels, before and after a pass.
    rows: [Vec<u32>; 2],
    sums: Vec<u16>,
}

impl Blur {
    /// Makes a blur that uses this instruction set.
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self { cpu, ..Self::default() }
    }

    /// Blurs the image.
    ///
    /// # Panics
    /// If `sigma` is not a number from 0 to 128.
    pub(crate) fn apply(&mut self, sigma: f64, image: &mut RgbPlanes) {
        assert!((0.0..=MOST as f64).contains(&sigma), "a blur has a standard deviation from 0 to {MOST}");
        let window = BoxFilter::new(sigma as f32);
        if window.outer == 0 && window.radius == 0 {
            return;
        }
        self.plane.resize(image.width * image.height, 0);
        let padded = ROWS * (image.width + 2 * (window.radius + 1));
        self.rows.iter_mut().for_each(|rows| rows.resize(padded, 0));
        self.sums.resize(image.width, 0);
        for (width, plane) in image.planes_mut() {
            for (rows, out) in plane.chunks(ROWS * width).zip(self.plane.chunks_mut(ROWS * width)) {
                blur_rows(self.cpu, window, width, rows, &mut self.rows, out);
            }
            blur_columns(self.cpu, window, width, &self.plane, &mut self.sums, plane);
            blur_columns(self.cpu, window, width, plane, &mut self.sums, &mut self.plane);
            blur_columns(self.cpu, window, width, &self.plane, &mut self.sums, plane);
        }
    }
}

versions! {
    /// Blurs rows three times. Between the passes they stay in 32 bits, which saves conversions. `padded` has
    /// room for the rows and their continuations.
    fn blur_rows(window: BoxFilter, width: usize, rows: &[u8], padded: &mut [Vec<u32>; 2], out: &mut [u8]) {
        let margin = window.radius + 1;
        let stride = width + 2 * margin;
        let [mut from, mut to] = padded.each_mut().map(|padded| &mut padded[..rows.len() / width * stride]);
        for (row, padded) in rows.chunks_exact(width).zip(from.chunks_exact_mut(stride)) {
            padded[margin..].iter_mut().zip(row).for_each(|(value, &pixel)| *value = u32::from(pixel));
        }
        for _ in 0..PASSES {
            for row in from.chunks_exact_mut(stride) {
                let (first, last) = (row[margin], row[margin + width - 1]);
                row[..margin].fill(first);
                row[margin + width..].fill(last);
            }
            box_rows(window, from, to);
            mem::swap(&mut from, &mut to);
        }
        for (out, padded) in out.chunks_exact_mut(width).zip(from.chunks_exact(stride)) {
            out.iter_mut().zip(&padded[margin..]).for_each(|(pixel, &value)| *pixel = value as u8);
        }
    }

    /// Blurs all columns of a plane once, row by row.
    fn blur_columns(window: BoxFilter, width: usize, plane: &[u8], sums: &mut [u16], out: &mut [u8]) {
        let last = plane.len() / width - 1;
        let row = |y: isize| &plane[y.clamp(0, last as isize) as usize * width..][..width];
        let radius = window.radius as isize;
        if window.radius > 1 {
            sums.fill(0);
            (-radius - 1..radius).for_each(|y| add(sums, row(y)));
        }
        for (y, out) in (0..).zip(out.chunks_exact_mut(width)) {
            let (before, after) = (row(y - radius - 1), row(y + radius + 1));
            match radius {
                0 => combine(window, row(y), before, after, out),
                1 => combine_three(window, [row(y - 1), row(y), row(y + 1)], before, after, out),
                _ => {
                    add(sums, row(y + radius));
                    subtract(sums, before);
                    combine(window, sums, before, after, out);
                }
            }
        }
    }
}

/// Blurs continued rows, which lie one after the other, once.
#[inline(always)]
fn box_rows(window: BoxFilter, from: &[u32], to: &mut [u32]) {
    let margin = window.radius + 1;
    let length = from.len() - 2 * margin;
    let at = |x: usize| &from[x..][..length];
    let outer = at(0).iter().zip(at(2 * margin)).map(|(before, after)| before + after);
    let to = &mut to[margin..][..length];
    match window.radius {
        0 => {
            for ((to, &inner), outer) in to.iter_mut().zip(at(1)).zip(outer) {
                *to = window.mean_wide(inner, outer);
            }
        }
        1 => {
            for ((((to, a), b), c), outer) in to.iter_mut().zip(at(1)).zip(at(2)).zip(at(3)).zip(outer) {
                *to = window.mean_wide(a + b + c, outer);
            }
        }
        radius => {
            to.fill(0);
            for x in 1..2 * radius + 2 {
                to.iter_mut().zip(at(x)).for_each(|(sum, value)| *sum += value);
            }
            to.iter_mut().zip(outer).for_each(|(to, outer)| *to = window.mean_wide(*to, outer));
        }
    }
}

#[inline(always)]
fn combine<T: Copy + Into<u16>>(window: BoxFilter, inner: &[T], before: &[u8], after: &[u8], out: &mut [u8]) {
    for (((out, &inner), &before), &after) in out.iter_mut().zip(inner).zip(before).zip(after) {
        *out = window.mean(inner.into(), u16::from(before) + u16::from(after));
    }
}

#[inline(always)]
fn combine_three(window: BoxFilter, inner: [&[u8]; 3], before: &[u8], after: &[u8], out: &mut [u8]) {
    let [a, b, c] = inner;
    for (((((out, &a), &b), &c), &before), &after) in
        out.iter_mut().zip(a).zip(b).zip(c).zip(before).zip(after)
    {
        let inner = u16::from(a) + u16::from(b) + u16::from(c);
        *out = window.mean(inner, u16::from(before) + u16::from(after));
    }
}

#[inline(always)]
fn add(sums: &mut [u16], row: &[u8]) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += u16::from(value);
    }
}

#[inline(always)]
fn subtract(sums: &mut [u16], row: &[u8]) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum -= u16::from(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blurs a line by the definition.
    fn reference(window: BoxFilter, line: &[u8]) -> Vec<u8> {
        let radius = window.radius as isize;
        let at = |x: isize| u64::from(line[x.clamp(0, line.len() as isize - 1) as usize]);
        let blurred = (0..line.len() as isize).map(|x| {
            let inner: u64 = (x - radius..=x + radius).map(at).sum();
            let outer = at(x - radius - 1) + at(x + radius + 1);
            (inner * u64::from(window.inner) + outer * u64::from(window.outer) + (1 << 23)) >> 24
        });
        blurred.map(|value| u8::try_from(value).unwrap()).collect()
    }

    fn thrice(window: BoxFilter, line: &[u8]) -> Vec<u8> {
        (0..PASSES).fold(line.to_vec(), |line, _| reference(window, &line))
    }

    #[test]
    fn a_blur_of_any_radius_is_three_box_blurs_of_rows_and_of_columns() {
        for (width, height) in [(1, 1), (1, 7), (40, 1), (67, 35)] {
            let mut image = RgbPlanes::default();
            image.reshape(width, height);
            for (at, value) in image.pixels.iter_mut().enumerate() {
                *value = (at * at % 257) as u8 | ((at / 90 % 2) * 255) as u8;
            }
            for sigma in [0.0, 0.1, 1.0, 1.5, 2.0, 2.5, 3.7, 9.0, 128.0] {
                check(&image, sigma);
            }
        }
    }

    fn check(image: &RgbPlanes, sigma: f64) {
        let window = BoxFilter::new(sigma as f32);
        let (width, height) = (image.width, image.height);
        let mut expected = Vec::new();
        for plane in image.pixels.chunks_exact(width * height) {
            let rows: Vec<u8> = plane.chunks_exact(width).flat_map(|row| thrice(window, row)).collect();
            let column = |x| rows.iter().skip(x).step_by(width).copied().collect::<Vec<u8>>();
            let columns: Vec<Vec<u8>> = (0..width).map(|x| thrice(window, &column(x))).collect();
            expected.extend((0..height).flat_map(|y| columns.iter().map(move |column| column[y])));
        }
        for cpu in Cpu::available() {
            let mut blurred = image.clone();
            Blur::new(cpu).apply(sigma, &mut blurred);
            assert!(blurred.pixels == expected, "{cpu}, {width}×{height}, sigma {sigma}");
        }
    }

    #[test]
    fn a_box_has_the_variance_of_its_gaussian() {
        for sigma in [0.3, 1.0, 1.414, 2.0, 17.0, 128.0] {
            let BoxFilter { radius, inner, outer } = BoxFilter::new(sigma);
            let squares: f64 = (1..=radius).map(|x| (x * x) as f64).sum();
            let beyond = ((radius + 1) * (radius + 1)) as f64;
            let variance =
                2.0 * (squares * f64::from(inner) + beyond * f64::from(outer)) / f64::from(1 << 24);
            let expected = f64::from(sigma * sigma) / 3.0;
            assert!((variance - expected).abs() < 1e-4 * expected, "{sigma}: {variance}, not {expected}");
        }
    }
}
