//! The duration of work, by the wall clock and in CPU time.

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
    medians(&(0..repetitions.max(1)).map(|_| once(&mut work)).collect::<Vec<_>>())
}

/// Runs `work` with `true` and with `false` in turns, once to warm up and then `repetitions` times. Returns the
/// medians of each clock for `true` and for `false`.
pub fn in_turns<R>(repetitions: usize, mut work: impl FnMut(bool) -> R) -> [Time; 2] {
    let mut pair = || [true, false].map(|which| once(|| work(which)));
    pair();
    let pairs: Vec<_> = (0..repetitions.max(1)).map(|_| pair()).collect();
    [0, 1].map(|of| medians(&pairs.iter().map(|pair| pair[of]).collect::<Vec<_>>()))
}

/// Returns the median of each clock.
fn medians(times: &[Time]) -> Time {
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
