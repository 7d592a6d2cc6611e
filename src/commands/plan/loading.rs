//! Loading the run's own samples for a few seconds: what it costs, and what it holds.

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

/// Loading that was measured, with nothing else going on.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Loading {
    /// Samples that were loaded …
    pub(super) samples: u64,
    /// … in so many seconds.
    pub(super) seconds: f64,
    /// Samples, each a pair of views, a second with all decoding threads.
    pub(super) images_per_second: f64,
    /// Those that one core makes in a second of its time.
    pub(super) pairs_per_second_of_a_core: f64,
    /// CPU time that a sample costs.
    pub(super) cpu_us: Stages,
    /// Time that a sample's threads were ready, but had no core: other processes had them, or each other. None where nobody
    /// tells.
    pub(super) starved_us: Option<f64>,
    /// Time of the device for copying a batch and normalizing it there. None on the CPU, where nothing is copied.
    pub(super) copy_ms: Option<f64>,
    /// Bytes by which this process's own memory grew.
    pub(super) grown_bytes: Option<u64>,
}

/// CPU microseconds of a sample by what they are spent on.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Stages {
    /// Everything.
    pub(super) all: f64,
    /// Taking samples from the shards.
    pub(super) read: f64,
    /// Encoded bytes to pixels.
    pub(super) decode: f64,
    /// Pixels to views.
    pub(super) augment: f64,
    /// Views to batches.
    pub(super) batch: f64,
    /// Reading ahead, and on the CPU the normalization.
    pub(super) other: f64,
}

/// Where loading stands.
struct Mark {
    at: Instant,
    cpu: Duration,
    starved: Option<Duration>,
    copied: Duration,
    stats: Stats,
}

impl Mark {
    /// Before anything is loaded.
    fn start() -> Self {
        let (at, cpu, starved) = (Instant::now(), process_cpu(), torchkit::waited_for_cores());
        Self { at, cpu, starved, copied: Duration::ZERO, stats: Stats::default() }
    }

    fn of(feed: &Feed, stats: Stats) -> Self {
        Self { copied: feed.copying_time(), stats, ..Self::start() }
    }
}

/// Loads the first batches of a run, decoded in this way, for about so long.
pub(super) fn load(run: &Run, decode: DecodeMode, least: Duration) -> Result<Loading> {
    let mut config = run.config.clone();
    config.data.decode = decode;
    let (data, batch_size, position, device) = (&run.data, run.batch_size, run.position, run.device);
    // On a thread of its own, as what this one allocates may be watched.
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

/// Takes batches until `least` has gone by since the first one, whose time is that of filling the pipeline; since the start,
/// where the first one took that long.
fn measure(mut feed: Feed, mut start: Mark, least: Duration) -> Result<Loading> {
    let (mut samples, mut batches) = (0, 0);
    let mut is_first = true;
    loop {
        let staged: DeviceBatch = feed.next().context("the samples ran out")??;
        let (stats, size) = (staged.stats, staged.views.labels.size()[0] as u64);
        drop(staged);
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
    fn between(start: &Mark, end: &Mark, samples: u64, batches: u32) -> Self {
        let seconds = (end.at - start.at).as_secs_f64();
        let cpu_us = Stages::between(start, end, samples);
        let starved = end.starved.zip(start.starved).map(|(end, start)| end.saturating_sub(start));
        let copied = end.copied.saturating_sub(start.copied);
        Self {
            samples,
            seconds,
            images_per_second: samples as f64 / seconds,
            pairs_per_second_of_a_core: 1e6 / cpu_us.all,
            cpu_us,
            starved_us: starved.map(|starved| 1e6 * starved.as_secs_f64() / samples as f64),
            copy_ms: (!copied.is_zero()).then(|| 1e3 * copied.as_secs_f64() / f64::from(batches)),
            grown_bytes: None,
        }
    }
}

impl Stages {
    fn between(start: &Mark, end: &Mark, samples: u64) -> Self {
        let all = 1e6 * end.cpu.saturating_sub(start.cpu).as_secs_f64() / samples as f64;
        // The stages' samples are those of their own count: they are ahead of the batches that were taken.
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
