//! Shared code of the benches: CPU time, medians, and a plain table on stdout.
//!
//! A bench is an ordinary program (`harness = false`). It builds its own data, measures a few quantities and prints a
//! row for each:
//!
//! ```text
//! #[path = "common/mod.rs"]       // "../benches/common/mod.rs" from another crate's folder
//! mod common;
//!
//! fn main() {
//!     let mut table = common::Table::new("decode");
//!     let time = common::measure(5, || decode(&jpeg));    // one warm-up, then the median of five
//!     table.row("decode", 1.0 / time.wall_s, "images/s");
//!     table.row("decode, CPU", time.thread_s * 1e6, "µs/image");
//! }                                                       // each row is printed immediately, to show progress
//! ```
#![allow(unreachable_pub, reason = "a bench is a binary, which exports nothing")]
#![allow(dead_code, reason = "not every bench uses everything")]
#![allow(clippy::allow_attributes, reason = "whether it is dead differs between benches")]
#![expect(clippy::print_stdout, reason = "a bench's results go to stdout")]

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// The duration of a piece of work in seconds, by three clocks.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "quantities carry their unit")]
pub struct Time {
    /// Time of the wall clock.
    pub wall_s: f64,
    /// CPU time of the calling thread. Other programs influence it only through shared caches.
    pub thread_s: f64,
    /// CPU time of all threads of this process.
    pub process_s: f64,
}

/// Runs `work` once to warm up and then `repetitions` times. Returns the median of each clock.
pub fn measure<R>(repetitions: usize, mut work: impl FnMut() -> R) -> Time {
    std::hint::black_box(work());
    let times: Vec<Time> = (0..repetitions.max(1)).map(|_| once(&mut work)).collect();
    Time {
        wall_s: median(times.iter().map(|time| time.wall_s).collect()),
        thread_s: median(times.iter().map(|time| time.thread_s).collect()),
        process_s: median(times.iter().map(|time| time.process_s).collect()),
    }
}

/// Runs `work` once, without warming up.
pub fn once<R>(mut work: impl FnMut() -> R) -> Time {
    let (wall, thread, process) = (Instant::now(), thread_cpu_s(), process_cpu_s());
    std::hint::black_box(work());
    Time {
        wall_s: wall.elapsed().as_secs_f64(),
        thread_s: thread_cpu_s() - thread,
        process_s: process_cpu_s() - process,
    }
}

/// Returns the CPU seconds that the calling thread has used.
pub fn thread_cpu_s() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

/// Returns the CPU seconds that all threads of the process have used.
pub fn process_cpu_s() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Returns the median; of an even number of values, the upper one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A table of name, value and unit that is printed row by row.
#[derive(Debug)]
pub struct Table {
    /// Length of the longest name so far, in characters.
    width: usize,
}

impl Table {
    /// Prints the title of a new table.
    pub fn new(title: &str) -> Self {
        println!("\n{title}");
        Self { width: 40 }
    }

    /// Prints one row.
    pub fn row(&mut self, name: &str, value: f64, unit: &str) {
        let digits = if value.abs() < 10.0 { 3 } else { usize::from(value.abs() < 1000.0) };
        self.width = self.width.max(name.chars().count());
        let width = self.width;
        println!("  {name:<width$} {value:>14.digits$} {unit}");
    }
}
