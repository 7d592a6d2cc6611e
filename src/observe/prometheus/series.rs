//! The values of a metric, which are read while they change.

use std::{
    fmt::Write as _,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// The most series of a metric. Labels have fixed values, such as the parts of a method's loss.
const MOST: usize = 16;

/// The values of a metric by their labels. Nobody waits for a lock: a series is added once, and its value is an atomic
/// number.
#[derive(Debug, Default)]
pub(super) struct Series {
    slots: [OnceLock<Slot>; MOST],
}

#[derive(Debug)]
struct Slot {
    /// The labels as they are written: `task="total"`, or nothing.
    labels: String,
    /// The bits of an f64.
    value: AtomicU64,
}

impl Series {
    /// Sets the value of the series with these labels.
    pub(super) fn set(&self, labels: &str, value: f64) {
        if let Some(slot) = self.slot(labels) {
            slot.value.store(value.to_bits(), Relaxed);
        }
    }

    /// Adds to the value of the series with these labels.
    pub(super) fn add(&self, labels: &str, more: f64) {
        if let Some(slot) = self.slot(labels) {
            let sum = |bits| Some((f64::from_bits(bits) + more).to_bits());
            let _ = slot.value.fetch_update(Relaxed, Relaxed, sum); // it cannot refuse
        }
    }

    /// Returns the value of the series with these labels.
    pub(super) fn get(&self, labels: &str) -> Option<f64> {
        let mut slots = self.slots.iter().map_while(OnceLock::get);
        slots.find(|slot| slot.labels == labels).map(|slot| f64::from_bits(slot.value.load(Relaxed)))
    }

    /// Returns the series with these labels, which begins at 0. Returns none if there are too many.
    fn slot(&self, labels: &str) -> Option<&Slot> {
        let new = || Slot { labels: labels.to_owned(), value: AtomicU64::new(0) };
        self.slots.iter().map(|slot| slot.get_or_init(new)).find(|slot| slot.labels == labels)
    }

    /// Appends the lines of all series. Appends nothing if there are none.
    pub(super) fn write(&self, name: &str, page: &mut String) {
        for Slot { labels, value } in self.slots.iter().map_while(OnceLock::get) {
            let value = shown(f64::from_bits(value.load(Relaxed)));
            let _ = match &**labels {
                "" => writeln!(page, "{name} {value}"),
                labels => writeln!(page, "{name}{{{labels}}} {value}"),
            };
        }
    }

    /// Returns whether there is a value.
    pub(super) fn is_empty(&self) -> bool {
        self.slots[0].get().is_none()
    }
}

/// Returns labels as they are written.
pub(super) fn labels(named: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    let pairs: Vec<_> = named.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    pairs.join(",")
}

/// Returns a number as it is written.
pub(super) fn shown(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(), // `NaN` as Prometheus writes it
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_written_with_their_labels_escaped() {
        let series = Series::default();
        assert!(series.is_empty());
        series.set(&labels(&[("task", "1t5")]), 2.5);
        series.set(&labels(&[("task", "a\"\\\n")]), f64::NAN);
        series.add(&labels(&[("task", "1t5")]), 0.5);
        let mut page = String::new();
        series.write("loss", &mut page);
        assert_eq!(page, "loss{task=\"1t5\"} 3\nloss{task=\"a\\\"\\\\\\n\"} NaN\n");
    }

    #[test]
    fn labels_beyond_the_most_are_left_out() {
        let series = Series::default();
        for number in 0..2 * MOST {
            series.set(&labels(&[("task", &number.to_string())]), 1.0);
        }
        let mut page = String::new();
        series.write("loss", &mut page);
        assert_eq!(page.lines().count(), MOST);
    }

    #[test]
    fn additions_of_several_threads_are_all_counted() {
        let series = Series::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| series.add("", 1.0)));
            }
        });
        let mut page = String::new();
        series.write("steps_total", &mut page);
        assert_eq!(page, "steps_total 4000\n");
    }
}
