//! The weights of Pillow's antialiased filters (`Resample.c`) along one axis.

use std::ops::Range;

use super::filter::Filter;
use crate::cpu::{Cpu, versions};

/// The number of fractional bits of a weight.
pub(crate) const PRECISION: u32 = 22;

/// The number of weights that are computed side by side.
const LANES: usize = 4;

/// The input pixels of each output pixel, and their weights.
#[derive(Debug, Default)]
pub(crate) struct Axis {
    spans: Vec<(u32, u32)>,
    /// The weights of all output pixels, `taps` for each.
    weights: Vec<i32>,
    /// The weights stored for an output pixel, a multiple of [`LANES`].
    taps: usize,
    /// Scratch for the filter's values of one output pixel.
    values: Vec<f64>,
}

impl Axis {
    /// Sets the axis up for resizing `input` pixels to `output`, reusing its memory.
    pub(crate) fn set(&mut self, cpu: Cpu, filter: Filter, input: u32, output: u32) {
        let scale = f64::from(input) / f64::from(output);
        let stretch = scale.max(1.0);
        let support = radius(filter) * stretch;
        let center = |x: u32| (f64::from(x) + 0.5) * scale;
        self.spans.clear();
        self.spans.extend((0..output).map(|x| {
            let start = (center(x) - support + 0.5).max(0.0) as u32;
            let end = ((center(x) + support + 0.5) as u32).min(input);
            (start, end - start)
        }));
        let kernel = Kernel { filter, shrink: 1.0 / stretch };
        self.taps = (support.ceil() as usize * 2 + 1).next_multiple_of(LANES);
        self.weights.resize(output as usize * self.taps, 0);
        self.values.resize(self.taps, 0.0);
        for ((x, (start, count)), weights) in
            (0..).zip(&self.spans).zip(self.weights.chunks_exact_mut(self.taps))
        {
            let first = f64::from(*start) - center(x) + 0.5;
            fixed_weights(cpu, kernel, first, *count, &mut self.values, weights);
        }
    }

    /// Mirrors the axis: its output is then bit-identical to that of the mirrored input.
    pub(crate) fn mirror(&mut self, input: u32) {
        for ((start, count), weights) in self.spans.iter_mut().zip(self.weights.chunks_exact_mut(self.taps)) {
            *start = input - *start - *count;
            weights[..*count as usize].reverse();
        }
    }

    /// Reverses the order of the output: the resized image is then mirrored, to the bit.
    pub(crate) fn reverse(&mut self) {
        self.spans.reverse();
        let (taps, mut weights) = (self.taps, &mut self.weights[..]);
        while weights.len() >= 2 * taps {
            let (first, rest) = weights.split_at_mut(taps);
            let (rest, last) = rest.split_at_mut(rest.len() - taps);
            first.swap_with_slice(last);
            weights = rest;
        }
    }

    /// Returns the number of output pixels.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns the input pixels of output pixel `x`, and their weights.
    #[inline(always)]
    pub(crate) fn taps(&self, x: usize) -> (Range<usize>, &[i32]) {
        let (start, count) = self.spans[x];
        let (start, count) = (start as usize, count as usize);
        (start..start + count, &self.weights[x * self.taps..][..count])
    }
}

/// A filter that is widened to `1 / shrink` pixels of the finer grid.
#[derive(Debug, Clone, Copy)]
struct Kernel {
    filter: Filter,
    shrink: f64,
}

versions! {
    /// Computes the fixed-point weights of one output pixel, padded with zeros. `first` is the distance of
    /// its first input pixel.
    fn fixed_weights(kernel: Kernel, first: f64, count: u32, values: &mut [f64], weights: &mut [i32]) {
        let values = values.as_chunks_mut::<LANES>().0;
        match kernel.filter {
            Filter::Bicubic => sample(|x| keys(x * kernel.shrink), first, count, values),
            Filter::Bilinear => sample(|x| triangle(x * kernel.shrink), first, count, values),
        }
        let sum: f64 = values.as_flattened().iter().sum();
        let one = f64::from(1 << PRECISION);
        for (weights, values) in weights.as_chunks_mut::<LANES>().0.iter_mut().zip(values) {
            *weights = values.map(|value| whole(value / sum * one + 0.5f64.copysign(value)));
        }
    }
}

/// Computes a filter's values at `count` pixels, padded with zeros.
#[inline(always)]
fn sample(filter: impl Fn(f64) -> f64, first: f64, count: u32, values: &mut [[f64; LANES]]) {
    for (i, values) in (0..).step_by(LANES).zip(values) {
        *values = std::array::from_fn(|lane| {
            let at = i + lane as u32;
            let value = filter(f64::from(at) + first);
            if at < count { value } else { 0.0 }
        });
    }
}

/// Returns the radius of a filter in pixels of the coarser grid.
fn radius(filter: Filter) -> f64 {
    match filter {
        Filter::Bicubic => 2.0,
        Filter::Bilinear => 1.0,
    }
}

/// Rounds a number below 2³¹ in magnitude towards zero. `as` would handle all other numbers too; here the
/// lower bits of the sum are the number.
#[inline(always)]
fn whole(value: f64) -> i32 {
    (value.trunc() + 6_755_399_441_055_744.0).to_bits() as i32
}

/// Computes Keys' cubic convolution kernel (1981) with a = −½.
#[inline(always)]
fn keys(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    let near = ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = (((x - 5.0) * x + 8.0) * x - 4.0) * A;
    if x < 1.0 {
        near
    } else if x < 2.0 {
        far
    } else {
        0.0
    }
}

/// Computes a triangle of radius 1.
#[inline(always)]
fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}
