//! The scales of charts: ranges, ticks, and the choice of the points that are drawn.

use super::text::grouped;

/// The columns that the points of a line are divided into.
const COLUMNS: usize = 600;

/// A recorded value: the step, and the value if it was measured and is finite.
pub(super) type Point = (u64, Option<f64>);

/// Returns the places of the points that are drawn: the lowest and the highest of each column, the first and the last,
/// and the edges of gaps. No peak is lost.
pub(super) fn drawn(points: &[Point]) -> Vec<usize> {
    if points.len() <= 2 * COLUMNS {
        return (0..points.len()).collect();
    }
    let mut kept = vec![0, points.len() - 1];
    for column in 0..COLUMNS {
        let places = column * points.len() / COLUMNS..(column + 1) * points.len() / COLUMNS;
        let values = || places.clone().filter_map(|place| Some((points[place].1?, place)));
        let lowest = values().min_by(|one, other| one.0.total_cmp(&other.0));
        let highest = values().max_by(|one, other| one.0.total_cmp(&other.0));
        let gap = places.clone().find(|&place| points[place].1.is_none());
        kept.extend([lowest, highest].into_iter().flatten().map(|(_, place)| place).chain(gap));
    }
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// The range of an axis, with the values that have a label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// The pixels of the narrowest chart, of a digit in its labels, and between two labels.
    const NARROWEST: f64 = 245.0;
    const CHARACTER: f64 = 8.0;
    const SPACE: f64 = 8.0;

    /// Returns an axis that covers a range and ends at round numbers.
    pub(super) fn covering(low: f64, high: f64) -> Self {
        let (low, high) = if high - low > 1e-12 * high.abs().max(1e-300) {
            (low, high)
        } else {
            let around = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
            (low - around, low + around)
        };
        let step = round_step((high - low) / 4.0);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let ticks: Vec<f64> =
            (0..=(last - first).min(20.0) as u32).map(|k| (first + f64::from(k)) * step).collect();
        Self { low: first * step, high: last * step, ticks }
    }

    /// Returns an axis of steps that begins and ends with the data. Its labels do not touch each other on a phone.
    pub(super) fn of_steps(first: u64, last: u64) -> Self {
        if first == last {
            let only = first as f64;
            return Self { low: only - 1.0, high: only + 1.0, ticks: vec![only] };
        }
        let (low, high) = (first as f64, last as f64);
        let pixels = |step: f64| Self::CHARACTER * grouped(step as u64).len() as f64;
        let a_pixel = (high - low) / Self::NARROWEST;
        let apart = (pixels(high) + Self::SPACE) * a_pixel;
        let step = round_step(apart.max((high - low) / 4.0)).max(1.0);
        let begin = (pixels(low) + pixels(555.0) + Self::CHARACTER + Self::SPACE) * a_pixel; // "step " and the number
        let end = (pixels(high) + Self::SPACE) * a_pixel;
        let inner = (1..8).map(|k| ((low / step).floor() + f64::from(k)) * step);
        let is_free = |tick: &f64| {
            let half = pixels(*tick) / 2.0 * a_pixel;
            tick - half > low + begin && tick + half < high - end
        };
        let ticks = [low].into_iter().chain(inner.filter(is_free)).chain([high]).collect();
        Self { low, high, ticks }
    }

    /// Returns the place of a value on the axis, from 0 to 1 where it is covered.
    pub(super) fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

/// Returns the next of 1, 2, 2.5, 5, 10 times a power of ten.
fn round_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.max(f64::MIN_POSITIVE).log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= raw * 0.999_999);
    factor.unwrap_or(10.0) * power
}

/// The ranges of values: of all, and of those between the 0.5 and the 99.5 percentile, if the others stand out.
#[derive(Debug, PartialEq)]
pub(super) struct Ranges {
    pub(super) all: (f64, f64),
    pub(super) usual: Option<(f64, f64)>,
}

/// Returns the ranges of values; `None` if there are none.
pub(super) fn ranges(values: impl Iterator<Item = f64>) -> Option<Ranges> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    let (low, high) = (*values.first()?, *values.last()?);
    let at = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
    let (usual_low, usual_high) = (at(0.005), at(0.995));
    // Values that hardly exceed the others need no second scale.
    let stands_out = values.len() >= 40 && high - low > 1.5 * (usual_high - usual_low).max(f64::MIN_POSITIVE);
    let usual = (stands_out && usual_high > usual_low).then_some((usual_low, usual_high));
    Some(Ranges { all: (low, high), usual })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_peak_and_no_gap_is_lost_when_points_are_chosen() {
        let mut points: Vec<Point> = (0..100_000).map(|step| (step, Some(1.0))).collect();
        (points[50_123].1, points[70_001].1, points[9].1) = (Some(9.0), Some(-4.0), None);
        let kept = drawn(&points);
        assert!(kept.len() < 3 * COLUMNS, "{}", kept.len());
        assert!([0, 9, 50_123, 70_001, 99_999].iter().all(|place| kept.contains(place)));
        assert_eq!(drawn(&points[..900]).len(), 900);
    }

    #[test]
    fn axes_end_at_round_numbers_and_labels_do_not_touch() {
        let axis = Axis::covering(17.3, 22.8);
        assert_eq!((axis.low, axis.high), (16.0, 24.0));
        assert_eq!(axis.ticks, [16.0, 18.0, 20.0, 22.0, 24.0]);
        assert!(Axis::covering(3.0, 3.0).high > 3.0 && Axis::covering(0.0, 0.0).low < 0.0);
        assert_eq!(Axis::of_steps(0, 600).ticks, [0.0, 200.0, 400.0, 600.0]);
        assert_eq!(Axis::of_steps(0, 100_000).ticks, [0.0, 50_000.0, 100_000.0]);
        assert_eq!(Axis::of_steps(98, 107).ticks.last(), Some(&107.0));
        assert!((Axis::of_steps(7, 7).place(7.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn values_that_stand_out_get_a_scale_of_their_own() {
        let usual: Vec<f64> = (0..1000).map(|k| f64::from(k % 10)).collect();
        assert_eq!(ranges(usual.iter().copied()).unwrap().usual, None);
        let found = ranges(usual.iter().copied().chain([1e6])).unwrap();
        assert_eq!(found, Ranges { all: (0.0, 1e6), usual: Some((0.0, 9.0)) });
        assert_eq!(ranges([f64::NAN].into_iter()), None);
    }
}
