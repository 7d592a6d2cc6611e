//! Weights for chroma samples, from those for pixels.

use super::{axis::Axis, weigh::Taps};

/// Sets the taps over a plane's samples that equal interpolating it to pixels by triangles and then taking `axis` over
/// the pixels from `start` on, up to rounding.
///
/// There are `factor` pixels (1 or 2) to each of `size` samples; without `is_smooth` pixels repeat them instead. Taps count from sample `origin`; gives one more than the
/// last one that is taken. `weights` is memory.
pub(crate) fn fold(
    axis: &Axis,
    start: usize,
    (factor, size, is_smooth): (usize, usize, bool),
    origin: usize,
    weights: &mut Vec<i32>,
    taps: &mut Taps,
) -> usize {
    let mut end = 0;
    taps.clear();
    for x in 0..axis.len() {
        let (span, pixels) = axis.taps(x);
        let first = start + span.start;
        let (lowest, weights) = if factor == 1 {
            (first, pixels)
        } else {
            let lowest = halve(first, pixels, (size, is_smooth), weights);
            (lowest, &weights[..])
        };
        taps.push_rounded(lowest - origin, weights);
        end = end.max(lowest + weights.len() - origin);
    }
    end
}

/// Weights of samples from those of pixels, of which the first is number `first`; gives the number of the first sample.
fn halve(first: usize, pixels: &[i32], (size, is_smooth): (usize, bool), samples: &mut Vec<i32>) -> usize {
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
