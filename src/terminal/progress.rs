//! The progress of some work.

use std::{
    fmt::Write,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::DecimalBytes;

use super::{
    line,
    surroundings::{columns, has_line},
};

/// Shows the progress of some work: on a terminal in one line that is redrawn, elsewhere in plain lines,
/// which become rarer with time.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: u64,
    in_bytes: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    done: u64,
    pace: Pace,
    started: Instant,
    /// The time of the last output.
    shown: Option<Instant>,
}

impl Progress {
    /// The least time between two drawings of the line.
    const DRAWING: Duration = Duration::from_millis(100);

    /// Returns the progress of work on `total` items, of which `done` are done already.
    pub fn new(what: &'static str, done: u64, total: u64) -> Self {
        Self::of(what, done, total, false)
    }

    /// Returns the progress of work on `total` bytes.
    pub fn of_bytes(what: &'static str, total: u64) -> Self {
        Self::of(what, 0, total, true)
    }

    fn of(what: &'static str, done: u64, total: u64, in_bytes: bool) -> Self {
        let started = Instant::now();
        let state = State { done, pace: Pace::new(done, started), started, shown: None };
        Self { what, total, in_bytes, state: Mutex::new(state) }
    }

    /// Adds `by` items to those that are done. `details` are shown with them, the most important one first.
    pub fn advance(&self, by: u64, details: impl FnOnce() -> Vec<String>) {
        self.update(|done| done + by, details, false);
    }

    /// Sets the number of items that are done. If it is `important`, it is shown immediately.
    pub fn reach(&self, done: u64, details: impl FnOnce() -> Vec<String>, important: bool) {
        self.update(|_| done, details, important);
    }

    fn update(&self, done: impl FnOnce(u64) -> u64, details: impl FnOnce() -> Vec<String>, important: bool) {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done = done(state.done);
        let done = state.done;
        state.pace.reach(done, now);
        let interval = if has_line() { Self::DRAWING } else { between_lines(now - state.started) };
        let since = state.shown.or((!has_line()).then_some(state.started).filter(|_| !important));
        if !important && since.is_some_and(|then| now - then < interval) {
            return;
        }
        state.shown = Some(now);
        let mut parts = vec![self.head(done), eta(state.pace.left(self.total))];
        parts.extend(details());
        if has_line() {
            let share = done as f64 / self.total.max(1) as f64;
            line::draw(&compose(columns(), share, &parts));
        } else {
            tracing::info!("{}", parts.iter().map(|part| part.trim_end()).collect::<Vec<_>>().join("  "));
        }
    }

    /// Formats the counts; the width is the same from beginning to end.
    fn head(&self, done: u64) -> String {
        let Self { what, total, in_bytes, .. } = self;
        if *in_bytes {
            return format!("{what} {} of {}", DecimalBytes(done), DecimalBytes(*total));
        }
        format!("{what} {done:>width$}/{total}", width = total.to_string().len())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if has_line() {
            line::clear();
        }
    }
}

/// Returns the time between two plain lines: five seconds at the beginning, a minute after an hour.
fn between_lines(elapsed: Duration) -> Duration {
    (elapsed / 60).clamp(Duration::from_secs(5), Duration::from_secs(60))
}

/// Returns a line that fits into `columns`: a bar if there is room, the first part, and those of the other
/// parts that fit.
fn compose(columns: usize, share: f64, parts: &[String]) -> String {
    // Some terminals begin a new line after the last column.
    let room = columns.saturating_sub(1).max(1);
    let mut line = if columns < 60 { String::new() } else { bar((columns / 5).min(24), share) + " " };
    let mut length = line.chars().count();
    for (number, part) in parts.iter().enumerate() {
        let gap = if number == 0 { "" } else { "  " };
        let needed = gap.len() + part.trim_end().chars().count();
        if number == 0 || length + needed <= room {
            // Padding keeps the following parts in place.
            let _ = write!(line, "{gap}{part}");
            length += gap.len() + part.chars().count();
        }
    }
    line.trim_end().chars().take(room).collect()
}

fn bar(width: usize, share: f64) -> String {
    let filled = ((share.clamp(0.0, 1.0) * width as f64) as usize).min(width);
    "█".repeat(filled) + &"░".repeat(width - filled)
}

/// Formats the time that is left, in a fixed width.
fn eta(left: Option<Duration>) -> String {
    let Some(seconds) = left.map(|left| left.as_secs()) else { return format!("eta {:<6}", "?") };
    let text = match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    };
    format!("eta {text:<6}")
}

/// The time that an item takes, as a mean that weighs recent items most.
#[derive(Debug)]
struct Pace {
    done: u64,
    at: Instant,
    moves: u32,
    seconds: f64,
}

impl Pace {
    /// Seconds after which an item has little weight.
    const MEMORY: f64 = 30.0;

    fn new(done: u64, at: Instant) -> Self {
        Self { done, at, moves: 0, seconds: 0.0 }
    }

    fn reach(&mut self, done: u64, now: Instant) {
        let count = done.saturating_sub(self.done);
        if count == 0 {
            return;
        }
        let elapsed = (now - self.at).as_secs_f64();
        (self.done, self.at, self.moves) = (done, now, self.moves.saturating_add(1));
        // A plain mean at the beginning, and an exponential one later.
        let weight = (1.0 / f64::from(self.moves)).max(1.0 - (-elapsed / Self::MEMORY).exp());
        self.seconds += weight * (elapsed / count as f64 - self.seconds);
    }

    /// Returns the time that is left, or `None` before the first item.
    fn left(&self, total: u64) -> Option<Duration> {
        let seconds = self.seconds * total.saturating_sub(self.done) as f64;
        Duration::try_from_secs_f64(seconds).ok().filter(|_| self.moves > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_into_any_terminal_and_keeps_the_most_important_parts() {
        let parts: Vec<_> =
            ["step   41/1000", "eta 12m30s", "loss 2.931", "chance 2.708", "  123 images/s", "epoch 1.50"]
                .map(str::to_owned)
                .into();
        for columns in [1, 10, 20, 40, 60, 80, 200, 500] {
            let line = compose(columns, 0.041, &parts);
            assert!(line.chars().count() < columns.max(2), "{columns}: `{line}`");
        }
        assert_eq!(compose(10, 0.0, &parts), "step   41");
        assert_eq!(compose(40, 0.0, &parts), "step   41/1000  eta 12m30s  loss 2.931");
        assert_eq!(
            compose(80, 0.5, &parts),
            "████████░░░░░░░░ step   41/1000  eta 12m30s  loss 2.931  chance 2.708"
        );
        assert!(compose(200, 1.0, &parts).ends_with("loss 2.931  chance 2.708    123 images/s  epoch 1.50"));
    }

    #[test]
    fn the_time_that_is_left_has_a_fixed_width() {
        let texts =
            [3, 750, 11_520, 450_000, 8_000_000].map(|seconds| eta(Some(Duration::from_secs(seconds))));
        assert_eq!(texts, ["eta 3s    ", "eta 12m30s", "eta 3h12m ", "eta 5d05h ", "eta 92d14h"]);
        assert_eq!(eta(None), "eta ?     ");
    }

    #[test]
    fn the_pace_is_a_mean_that_forgets_old_items() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(10, start);
        assert_eq!(pace.left(20), None);
        pace.reach(11, after(1));
        pace.reach(12, after(4));
        assert_eq!(pace.left(20).unwrap().as_secs(), 16, "eight items of two seconds each are left");
        for step in 0..100 {
            pace.reach(13 + step, after(14 + 10 * step));
        }
        let left = pace.left(pace.done + 10).unwrap().as_secs_f64();
        assert!((99.0..101.0).contains(&left), "ten seconds for each item: {left}");
    }

    #[test]
    fn plain_lines_become_rarer_with_time() {
        let after = |seconds| between_lines(Duration::from_secs(seconds)).as_secs();
        assert_eq!([after(0), after(299), after(1_200), after(100_000)], [5, 5, 20, 60]);
    }
}
