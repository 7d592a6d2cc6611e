//! Counts and times of each stage.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::trace;

/// The counts and times of a [`Loader`](crate::Loader) so far, summed over all its threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// The number of samples in batches.
    pub samples: u64,
    /// The number of bad samples, which are in no batch.
    pub bad: u64,
    /// Taking samples from their source.
    pub read: StageStats,
    /// Decoding bytes to pixels. Its input waits are those of the workers for samples.
    pub decode: StageStats,
    /// Turning pixels into views, on the same threads. Its output waits are for empty buffers and for the
    /// batching thread.
    pub augment: StageStats,
    /// Copying views into batches. Its output waits are for slabs and for the receiver of the batches.
    pub batch: StageStats,
}

/// The times of one stage in microseconds, summed over its threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StageStats {
    /// CPU time.
    pub cpu_us: u64,
    /// Working time by the wall clock: more than `cpu_us` if cores or the disk are short.
    pub wall_us: u64,
    /// Time spent waiting for input.
    pub input_us: u64,
    /// Time spent waiting for room for the result.
    pub output_us: u64,
}

/// The running sums behind [`Stats`].
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) samples: AtomicU64,
    pub(crate) bad: AtomicU64,
    pub(crate) read: Stage,
    pub(crate) decode: Stage,
    pub(crate) augment: Stage,
    pub(crate) batch: Stage,
}

impl Default for Counters {
    fn default() -> Self {
        let [read, decode, augment, batch] = ["read", "decode", "augment", "batch"].map(Stage::new);
        Self { samples: AtomicU64::new(0), bad: AtomicU64::new(0), read, decode, augment, batch }
    }
}

impl Counters {
    pub(crate) fn snapshot(&self) -> Stats {
        Stats {
            samples: self.samples.load(Relaxed),
            bad: self.bad.load(Relaxed),
            read: self.read.snapshot(),
            decode: self.decode.snapshot(),
            augment: self.augment.snapshot(),
            batch: self.batch.snapshot(),
        }
    }
}

/// The running sums of one stage, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The name of its work in a trace.
    name: &'static str,
    cpu: AtomicU64,
    wall: AtomicU64,
    input: AtomicU64,
    output: AtomicU64,
}

impl Stage {
    fn new(name: &'static str) -> Self {
        let [cpu, wall, input, output] = [const { AtomicU64::new(0) }; 4];
        Self { name, cpu, wall, input, output }
    }

    /// Runs a piece of the stage's work and counts its time.
    pub(crate) fn work<R>(&self, work: impl FnOnce() -> R) -> R {
        let before = thread_cpu();
        let done = timed(self.name, &self.wall, work);
        add(&self.cpu, thread_cpu().saturating_sub(before));
        done
    }

    /// Runs a wait for input and counts its time.
    pub(crate) fn input<R>(&self, wait: impl FnOnce() -> R) -> R {
        timed("wait for input", &self.input, wait)
    }

    /// Runs a wait for room for the result and counts its time.
    pub(crate) fn output<R>(&self, wait: impl FnOnce() -> R) -> R {
        timed("wait for room", &self.output, wait)
    }

    fn snapshot(&self) -> StageStats {
        let us = |nanoseconds: &AtomicU64| nanoseconds.load(Relaxed) / 1_000;
        StageStats {
            cpu_us: us(&self.cpu),
            wall_us: us(&self.wall),
            input_us: us(&self.input),
            output_us: us(&self.output),
        }
    }
}

fn timed<R>(name: &'static str, sum: &AtomicU64, work: impl FnOnce() -> R) -> R {
    let begin = Instant::now();
    let done = work();
    let end = Instant::now();
    add(sum, end - begin);
    trace::note(name, begin, end);
    done
}

fn add(sum: &AtomicU64, time: Duration) {
    sum.fetch_add(time.as_nanos() as u64, Relaxed);
}

/// Returns the CPU time of the calling thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
