//! The weights of Pillow's antialiased bicubic filter (`Resample.c`) along one axis.

use std::ops::Range;

use crate::cpu::{Cpu, versions};

/// The number of fractional bits of a weight.
pub(crate) const PRECISION: u32 = 22;

/// The radius of the cubic in pixels of the coarser grid.
const SUPPORT: f64 = 2.0;

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
    cubic: Vec<f64>,
}

impl Axis {
    /// Sets the axis up for resizing `input` pixels to `output`, reusing its memory.
    pub(crate) fn set(&mut self, cpu: Cpu, input: u32, output: u32) {
        let scale = f64::from(input) / f64::from(output);
        let stretch = scale.max(1.0);
        let support = SUPPORT * stretch;
        let center = |x: u32| (f64::from(x) + 0.5) * scale;
        self.spans.clear();
        self.spans.extend((0..output).map(|x| {
            let start = (center(x) - support + 0.5).max(0.0) as u32;
            let end = ((center(x) + support + 0.5) as u32).min(input);
            (start, end - start)
        }));
        self.taps = (support.ceil() as usize * 2 + 1).next_multiple_of(LANES);
        self.weights.resize(output as usize * self.taps, 0);
        self.cubic.resize(self.taps, 0.0);
        for ((x, (start, count)), weights) in
            (0..).zip(&self.spans).zip(self.weights.chunks_exact_mut(self.taps))
        {
            let first = f64::from(*start) - center(x) + 0.5;
            fixed_weights(cpu, first, *count, 1.0 / stretch, &mut self.cubic, weights);
        }
    }

    /// Mirrors the axis: its output is then bit-identical to that of the mirrored input.
    pub(crate) fn mirror(&mut self, input: u32) {
        for ((start, count), weights) in self.spans.iter_mut().zip(self.weights.chunks_exact_mut(self.taps)) {
            *start = input - *start - *count;
            weights[..*count as usize].reverse();
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

versions! {
    /// Computes the fixed-point weights of one output pixel, padded with zeros. `first` is the distance of
    /// its first input pixel.
    fn fixed_weights(first: f64, count: u32, shrink: f64, cubic: &mut [f64], weights: &mut [i32]) {
        let cubic = cubic.as_chunks_mut::<LANES>().0;
        for (i, values) in (0..).step_by(LANES).zip(&mut *cubic) {
            *values = std::array::from_fn(|lane| {
                let at = i + lane as u32;
                let value = keys((f64::from(at) + first) * shrink);
                if at < count { value } else { 0.0 }
            });
        }
        let sum: f64 = cubic.as_flattened().iter().sum();
        let one = f64::from(1 << PRECISION);
        for (weights, values) in weights.as_chunks_mut::<LANES>().0.iter_mut().zip(cubic) {
            *weights = values.map(|value| whole(value / sum * one + 0.5f64.copysign(value)));
        }
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
