//! Weights for chroma samples, from those for pixels.

use super::{axis::Axis, weigh::Taps};

/// Sets the taps over a plane's samples that equal interpolating it to pixels by triangles and then taking `axis` over
/// the pixels from `start` on, up to rounding.
///
/// There are `factor` pixels (1 or 2) to each of `size` samples. Taps count from sample `origin`; gives one more than the
/// last one that is taken.
pub(crate) fn fold(
    axis: &Axis,
    start: usize,
    (factor, size): (usize, usize),
    origin: usize,
    taps: &mut Taps,
) -> usize {
    let mut end = 0;
    let mut weights = Vec::new();
    taps.clear();
    for x in 0..axis.len() {
        let (span, pixels) = axis.taps(x);
        let first = start + span.start;
        if factor == 1 {
            taps.push_rounded(first - origin, pixels);
            end = end.max(first + pixels.len() - origin);
            continue;
        }
        let lowest = (first / 2).saturating_sub(1);
        weights.clear();
        weights.resize((first + pixels.len() - 1) / 2 + 2 - lowest, 0);
        for (x, &weight) in (first..).zip(pixels) {
            let near = x / 2;
            // What is narrower libjpeg repeats instead.
            let far = match x % 2 {
                _ if size <= 2 => near,
                0 => near.saturating_sub(1),
                _ => (near + 1).min(size - 1),
            };
            weights[near - lowest] += 3 * weight;
            weights[far - lowest] += weight;
        }
        let beyond = (lowest + weights.len()).saturating_sub(size);
        weights.truncate(weights.len() - beyond);
        weights.iter_mut().for_each(|weight| *weight = (*weight + 2) >> 2);
        taps.push_rounded(lowest - origin, &weights);
        end = end.max(lowest + weights.len() - origin);
    }
    end
}
