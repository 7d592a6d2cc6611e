//! A histogram of times.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::series::{Series, shown};

/// The number of buckets with an upper bound: 1 ms · 2ᵏ, up to 65 s.
const BOUNDED: usize = 17;

/// The times of steps, in buckets whose bounds double.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// The last one has no bound.
    counts: [AtomicU64; BOUNDED + 1],
    sum: Series,
}

impl Buckets {
    /// Counts a time.
    pub(super) fn add(&self, seconds: f64) {
        let number = (0..BOUNDED).find(|&number| seconds <= bound(number)).unwrap_or(BOUNDED);
        self.counts[number].fetch_add(1, Relaxed);
        self.sum.add("", seconds);
    }

    /// Returns whether no time was counted.
    pub(super) fn is_empty(&self) -> bool {
        self.sum.is_empty()
    }

    /// Appends the lines of the histogram.
    pub(super) fn write(&self, name: &str, page: &mut String) {
        let mut count = 0;
        for (number, of_bucket) in self.counts.iter().enumerate() {
            count += of_bucket.load(Relaxed);
            let bound = if number < BOUNDED { bound(number) } else { f64::INFINITY };
            let _ = writeln!(page, "{name}_bucket{{le=\"{}\"}} {count}", shown(bound));
        }
        self.sum.write(&format!("{name}_sum"), page);
        let _ = writeln!(page, "{name}_count {count}");
    }
}

/// Returns the upper bound of a bucket in seconds.
fn bound(number: usize) -> f64 {
    (1_u64 << number) as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_all_buckets_from_its_own_on() {
        let buckets = Buckets::default();
        assert!(buckets.is_empty());
        for seconds in [0.0005, 0.001, 0.003, 100.0] {
            buckets.add(seconds);
        }
        let mut page = String::new();
        buckets.write("s", &mut page);
        let lines: Vec<_> = page.lines().collect();
        assert_eq!(lines.len(), BOUNDED + 3);
        assert_eq!(
            lines[..3],
            ["s_bucket{le=\"0.001\"} 2", "s_bucket{le=\"0.002\"} 2", "s_bucket{le=\"0.004\"} 3"]
        );
        assert_eq!(
            lines[BOUNDED - 1..],
            ["s_bucket{le=\"65.536\"} 3", "s_bucket{le=\"+Inf\"} 4", "s_sum 100.0045", "s_count 4"]
        );
    }
}
