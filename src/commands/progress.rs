//! The terminal's progress line for the work of the crate `dataset`.

use std::{
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use dataset::Stage;
use indicatif::HumanCount;

use crate::{terminal::Progress, world::World};

/// Shows the progress of the current stage until it is dropped: that of this process, if several divide the work.
#[derive(Debug)]
pub(super) struct Shown {
    meter: RwLock<Option<Meter>>,
    world: World,
}

impl Shown {
    /// Shows the progress of this one of the processes that divide the work.
    pub(super) fn of(world: World) -> Self {
        Self { meter: RwLock::default(), world }
    }
}

impl dataset::Progress for Shown {
    fn begin(&self, stage: Stage, total: u64) {
        let meter = Meter::new(stage, total, self.world.size());
        *self.meter.write().unwrap_or_else(PoisonError::into_inner) = Some(meter);
    }

    fn advance(&self, samples: u64, bytes: u64) {
        if let Some(meter) = &*self.meter.read().unwrap_or_else(PoisonError::into_inner) {
            meter.advance(samples, bytes);
        }
    }

    fn end(&self) {
        let meter = self.meter.write().unwrap_or_else(PoisonError::into_inner).take();
        meter.into_iter().for_each(Meter::end);
    }
}

/// The progress of one stage.
#[derive(Debug)]
struct Meter {
    stage: Stage,
    progress: Progress,
    samples: AtomicU64,
    started: Instant,
    /// The number of processes that divide the work.
    processes: usize,
}

impl Meter {
    fn new(stage: Stage, total: u64, processes: usize) -> Self {
        let progress = match stage {
            Stage::Packing | Stage::Drawing => Progress::new(done(stage), 0, total),
            Stage::Verifying | Stage::Mending => Progress::of_bytes(done(stage), total),
        };
        Self { stage, progress, samples: AtomicU64::new(0), started: Instant::now(), processes }
    }

    fn advance(&self, samples: u64, bytes: u64) {
        self.samples.fetch_add(samples, Relaxed);
        match self.stage {
            Stage::Packing | Stage::Drawing => self.progress.advance(samples, Vec::new),
            Stage::Verifying | Stage::Mending => self.progress.advance(bytes, || vec![self.rate()]),
        }
    }

    /// Ends the stage. Logs how long it took to read or write shards.
    fn end(self) {
        let (rate, seconds) = (self.rate(), self.started.elapsed().as_secs_f64());
        drop(self.progress);
        if matches!(self.stage, Stage::Verifying | Stage::Mending) {
            let whose = match self.processes {
                1 => String::new(),
                processes => format!(", by the first of {processes} processes"),
            };
            tracing::info!("{} {rate} in {seconds:.1} s{whose}", done(self.stage));
        }
    }

    fn rate(&self) -> String {
        let samples = self.samples.load(Relaxed);
        let rate = samples as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        format!("{} samples, {rate:.0} a second", HumanCount(samples))
    }
}

/// Returns the verb of a stage in the past tense.
fn done(stage: Stage) -> &'static str {
    match stage {
        Stage::Packing => "packed",
        Stage::Drawing => "drawn",
        Stage::Verifying => "verified",
        Stage::Mending => "wrote",
    }
}
