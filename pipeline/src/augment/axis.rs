//! The weights of Pillow's antialiased bicubic filter along one axis.

use std::ops::Range;

/// Bits behind the point of a weight.
pub(crate) const PRECISION: u32 = 22;

/// Cubic that reaches two pixels to each side.
const SUPPORT: f64 = 2.0;

/// For each output pixel, the input pixels it takes and their weights.
#[derive(Debug, Default)]
pub(crate) struct Axis {
    spans: Vec<(u32, u32)>,
    /// One row of `taps` for each output pixel.
    weights: Vec<i32>,
    taps: usize,
    cubic: Vec<f64>,
}

impl Axis {
    /// Sets the axis up for shrinking or enlarging `input` pixels to `output`, keeping its memory.
    pub(crate) fn set(&mut self, input: u32, output: u32) {
        let scale = f64::from(input) / f64::from(output);
        let stretch = scale.max(1.0);
        let support = SUPPORT * stretch;
        self.taps = support.ceil() as usize * 2 + 1;
        self.spans.clear();
        self.weights.clear();
        for x in 0..output {
            let center = (f64::from(x) + 0.5) * scale;
            let start = (center - support + 0.5).max(0.0) as u32;
            let end = ((center + support + 0.5) as u32).min(input);
            self.spans.push((start, end - start));
            self.push_weights(f64::from(start) - center + 0.5, end - start, 1.0 / stretch);
        }
    }

    /// Turns the axis around: the output is that of the mirrored input, to the bit.
    pub(crate) fn mirror(&mut self, input: u32) {
        for ((start, count), weights) in self.spans.iter_mut().zip(self.weights.chunks_exact_mut(self.taps)) {
            *start = input - *start - *count;
            weights[..*count as usize].reverse();
        }
    }

    /// Output pixels.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The input pixels that output pixel `x` is made of, and their weights.
    #[inline(always)]
    pub(crate) fn taps(&self, x: usize) -> (Range<usize>, &[i32]) {
        let (start, count) = self.spans[x];
        let (start, count) = (start as usize, count as usize);
        (start..start + count, &self.weights[x * self.taps..][..count])
    }

    /// The fixed-point weights of one output pixel. `first` is the distance of its first input pixel.
    fn push_weights(&mut self, first: f64, count: u32, shrink: f64) {
        self.cubic.clear();
        self.cubic.extend((0..count).map(|i| cubic((f64::from(i) + first) * shrink)));
        let sum: f64 = self.cubic.iter().sum();
        let one = f64::from(1 << PRECISION);
        // Rounded half away from zero.
        let fixed = |weight: &f64| (weight / sum * one + 0.5f64.copysign(*weight)) as i32;
        let end = self.weights.len() + self.taps;
        self.weights.extend(self.cubic.iter().map(fixed));
        self.weights.resize(end, 0);
    }
}

/// Keys' cubic with a = −½.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
