//! The process that the others wait for.

/// The time that a process's batches take in the steps of a record, beside those of the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The least milliseconds of a step that a process has waited for its batch.
    pub(crate) min: f64,
    /// The median.
    pub(crate) median: f64,
    /// The most.
    pub(crate) max: f64,
    /// The number of the process that has waited most.
    pub(crate) slowest: usize,
}

impl Spread {
    /// Returns the spread of the milliseconds that each process has waited for its batch, by rank.
    pub(crate) fn of(waited: &[f64]) -> Self {
        let mut sorted = waited.to_vec();
        sorted.sort_by(f64::total_cmp);
        let max = sorted.last().copied().unwrap_or(0.0);
        Self {
            min: sorted.first().copied().unwrap_or(0.0),
            median: sorted.get((sorted.len().max(1) - 1) / 2).copied().unwrap_or(0.0),
            max,
            slowest: waited.iter().position(|&waited| waited.total_cmp(&max).is_eq()).unwrap_or(0),
        }
    }

    /// Returns by how much a step of `step` milliseconds is longer than it would be if the slowest process waited for
    /// its batch as long as the median one.
    fn slowdown(self, step: f64) -> f64 {
        step / (step - self.max + self.median).max(f64::MIN_POSITIVE)
    }
}

/// Finds a process that makes the others wait in many successive records.
#[derive(Debug, Default)]
pub(crate) struct Stragglers {
    slowest: Option<usize>,
    records: u32,
}

impl Stragglers {
    /// The successive records after which a process is named.
    const RECORDS: u32 = 10;
    /// The slowdown from which on it is.
    const SLOWDOWN: f64 = 1.3;

    /// Adds a record with steps of `step` milliseconds. Returns the slowdown by the slowest process if it has been the
    /// same one for long enough: once, as long as it stays so.
    pub(crate) fn add(&mut self, spread: Spread, step: f64) -> Option<f64> {
        let slowdown = spread.slowdown(step);
        let slowest = (slowdown >= Self::SLOWDOWN).then_some(spread.slowest);
        if slowest.is_none() || slowest != self.slowest {
            (self.slowest, self.records) = (slowest, 0);
        }
        self.records += u32::from(slowest.is_some());
        (self.records == Self::RECORDS).then_some(slowdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_with_the_longest_wait_is_the_slowest() {
        let spread = Spread::of(&[2.0, 30.0, 1.0, 3.0]);
        assert_eq!(spread, Spread { min: 1.0, median: 2.0, max: 30.0, slowest: 1 });
        assert!((spread.slowdown(128.0) - 1.28).abs() < 1e-12);
        assert_eq!(Spread::of(&[4.0]), Spread { min: 4.0, median: 4.0, max: 4.0, slowest: 0 });
    }

    #[test]
    fn a_process_is_named_once_after_ten_records_running() {
        let slow = |rank| {
            let mut waited = [1.0; 4];
            waited[rank] = 60.0;
            Spread::of(&waited)
        };
        let mut stragglers = Stragglers::default();
        let mut named = |spreads: &[Spread]| {
            spreads.iter().filter(|&&spread| stragglers.add(spread, 100.0).is_some()).count()
        };
        assert_eq!(named(&[slow(1); 9]), 0);
        assert_eq!(named(&[slow(2); 9]), 0, "another one");
        assert_eq!(named(&[slow(2); 30]), 1);
        assert_eq!(named(&[Spread::of(&[1.0; 4])]), 0);
        assert_eq!(named(&[slow(2); 10]), 1, "again");
    }
}
