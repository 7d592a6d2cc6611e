//! Measures the costs of loading the run's own samples for a few seconds.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use pipeline::{DecodeMode, Stats};
use serde::Serialize;

use crate::commands::plan::step::process_cpu;
use crate::{
    feed::{DeviceBatch, Feed},
    train::{Run, feed},
    world::World,
};

/// The measured costs of loading with nothing else running.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Loading {
    /// The number of samples that were loaded.
    pub(super) samples: u64,
    /// The wall time that loading them took, in seconds.
    pub(super) seconds: f64,
    /// The samples, each with all its views, that all decoding threads load a second.
    pub(super) images_per_second: f64,
    /// The samples, each with all its views, that one core loads in a second of CPU time. The name in the
    /// JSON object is from when every sample had a pair of views.
    #[serde(rename = "pairs_per_second_of_a_core")]
    pub(super) samples_per_second_of_a_core: f64,
    /// The CPU time of a sample.
    pub(super) cpu_us: Stages,
    /// The time for a sample that threads were ready to run but had no core, in microseconds. None if the
    /// kernel does not say.
    pub(super) starved_us: Option<f64>,
    /// The device time of copying a batch and normalizing it there. None on the CPU, where nothing is copied.
    pub(super) copy_ms: Option<f64>,
    /// The bytes by which this process's own memory grew.
    pub(super) grown_bytes: Option<u64>,
}

/// The CPU time of a sample by stages, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Stages {
    /// The time of all stages.
    pub(super) all: f64,
    /// The time of reading samples from the shards.
    pub(super) read: f64,
    /// The time of decoding images to pixels.
    pub(super) decode: f64,
    /// The time of augmenting pixels to views.
    pub(super) augment: f64,
    /// The time of collecting views in batches.
    pub(super) batch: f64,
    /// The time of everything else: reading ahead and, on the CPU, normalization.
    pub(super) other: f64,
}

/// The counters at one moment of loading.
struct Mark {
    at: Instant,
    cpu: Duration,
    starved: Option<Duration>,
    copied: Duration,
    stats: Stats,
}

impl Mark {
    /// Reads the counters before anything is loaded.
    fn start() -> Self {
        let (at, cpu, starved) = (Instant::now(), process_cpu(), torchkit::waited_for_cores());
        Self { at, cpu, starved, copied: Duration::ZERO, stats: Stats::default() }
    }

    /// Reads the counters after a batch with these statistics.
    fn of(feed: &Feed, stats: Stats) -> Self {
        Self { copied: feed.copying_time(), stats, ..Self::start() }
    }
}

/// Loads the first batches of a run for about the duration `least`, with the given decoding mode.
pub(super) fn load(run: &Run, decode: DecodeMode, least: Duration) -> Result<Loading> {
    let mut config = run.config.clone();
    config.data.decode = decode;
    let (data, batch_size, position, device) = (&run.data, run.batch_size, run.position, run.device);
    // On another thread, since this thread's allocations may be watched.
    let work = || {
        let before = torchkit::resident_memory();
        let start = Mark::start();
        let feed = feed(&config, data, batch_size, position, device, World::ALONE)?;
        let mut loading = measure(feed, start, least)?;
        let after = torchkit::resident_memory();
        loading.grown_bytes = before.zip(after).map(|(before, after)| after.own.saturating_sub(before.own));
        Ok(loading)
    };
    let panicked = |_| anyhow!("the thread that measures loading panicked");
    run.for_batches(|| thread::scope(|scope| scope.spawn(work).join().map_err(panicked)?))
}

/// Takes batches until `least` has passed since the first one, which is not counted as it fills the pipeline.
/// If the first batch alone took that long, it is counted.
fn measure(mut feed: Feed, mut start: Mark, least: Duration) -> Result<Loading> {
    let (mut samples, mut batches) = (0, 0);
    let mut is_first = true;
    loop {
        let batch: DeviceBatch = feed.next().context("the samples ran out")??;
        let (stats, size) = (batch.stats, batch.views.labels.size()[0] as u64);
        drop(batch);
        if std::mem::take(&mut is_first) && start.at.elapsed() < least {
            start = Mark::of(&feed, stats);
            continue;
        }
        (samples, batches) = (samples + size, batches + 1);
        if start.at.elapsed() >= least {
            return Ok(Loading::between(&start, &Mark::of(&feed, stats), samples, batches));
        }
    }
}

impl Loading {
    /// Computes the costs from the counters at the start and the end.
    fn between(start: &Mark, end: &Mark, samples: u64, batches: u32) -> Self {
        let seconds = (end.at - start.at).as_secs_f64();
        let cpu_us = Stages::between(start, end, samples);
        let starved = end.starved.zip(start.starved).map(|(end, start)| end.saturating_sub(start));
        let copied = end.copied.saturating_sub(start.copied);
        Self {
            samples,
            seconds,
            images_per_second: samples as f64 / seconds,
            samples_per_second_of_a_core: 1e6 / cpu_us.all,
            cpu_us,
            starved_us: starved.map(|starved| 1e6 * starved.as_secs_f64() / samples as f64),
            copy_ms: (!copied.is_zero()).then(|| 1e3 * copied.as_secs_f64() / f64::from(batches)),
            grown_bytes: None,
        }
    }
}

impl Stages {
    /// Computes the CPU time of a sample from the counters at the start and the end.
    fn between(start: &Mark, end: &Mark, samples: u64) -> Self {
        let all = 1e6 * end.cpu.saturating_sub(start.cpu).as_secs_f64() / samples as f64;
        // The stages run ahead of the batches, so they have a count of their own.
        let counted = (end.stats.samples - start.stats.samples).max(1) as f64;
        let [read, decode, augment, batch] = [
            |stats: &Stats| stats.read.cpu_us,
            |stats: &Stats| stats.decode.cpu_us,
            |stats: &Stats| stats.augment.cpu_us,
            |stats: &Stats| stats.batch.cpu_us,
        ]
        .map(|cpu_us| (cpu_us(&end.stats) - cpu_us(&start.stats)) as f64 / counted);
        let other = (all - read - decode - augment - batch).max(0.0);
        Self { all, read, decode, augment, batch, other }
    }
}
