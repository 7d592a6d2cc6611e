//! Weights of chroma samples, computed from those of pixels.

use super::{axis::Axis, weigh::Taps};

/// How the samples of a plane are interpolated to pixels, along one axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interpolation {
    /// The number of pixels to a sample, 1 or 2.
    pub(crate) factor: usize,
    /// The number of samples.
    pub(crate) size: usize,
    /// Whether pixels are interpolated by triangles; if not, they repeat the samples.
    pub(crate) is_smooth: bool,
}

/// Sets taps over a plane's samples that equal, up to rounding, interpolating the plane to pixels and then
/// applying `axis` to the pixels from `start` on.
///
/// Taps count from sample `origin`. Returns one more than the last sample that is read. `weights` is scratch.
pub(crate) fn fold(
    axis: &Axis,
    start: usize,
    interpolation: Interpolation,
    origin: usize,
    weights: &mut Vec<i32>,
    taps: &mut Taps,
) -> usize {
    let mut end = 0;
    taps.clear();
    for x in 0..axis.len() {
        let (span, pixels) = axis.taps(x);
        let first = start + span.start;
        let (lowest, weights) = if interpolation.factor == 1 {
            (first, pixels)
        } else {
            let lowest = halve(first, pixels, interpolation, weights);
            (lowest, &weights[..])
        };
        taps.push_rounded(lowest - origin, weights);
        end = end.max(lowest + weights.len() - origin);
    }
    end
}

/// Computes the weights of samples from those of pixels, the first of which is number `first`, for two pixels
/// to a sample. Returns the number of the first sample.
fn halve(first: usize, pixels: &[i32], interpolation: Interpolation, samples: &mut Vec<i32>) -> usize {
    let Interpolation { size, is_smooth, .. } = interpolation;
    let lowest = (first / 2).saturating_sub(1);
    let last = ((first + pixels.len() - 1) / 2 + 1).min(size - 1);
    samples.clear();
    samples.resize(last + 1 - lowest, 0);
    for (x, &weight) in (first..).zip(pixels) {
        let near = x / 2;
        let far = match x % 2 {
            _ if !is_smooth => near,
            0 => near.saturating_sub(1),
            _ => (near + 1).min(size - 1),
        };
        samples[near - lowest] += 3 * weight;
        samples[far - lowest] += weight;
    }
    for weight in samples.iter_mut() {
        *weight = (*weight + 2) >> 2;
    }
    lowest
}
