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

use crate::terminal::Progress;

/// Shows the progress of the current stage until it is dropped.
#[derive(Debug, Default)]
pub(super) struct Shown(RwLock<Option<Meter>>);

impl dataset::Progress for Shown {
    fn begin(&self, stage: Stage, total: u64) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Meter::new(stage, total));
    }

    fn advance(&self, samples: u64, bytes: u64) {
        if let Some(meter) = &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            meter.advance(samples, bytes);
        }
    }

    fn end(&self) {
        let meter = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
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
}

impl Meter {
    fn new(stage: Stage, total: u64) -> Self {
        let progress = match stage {
            Stage::Packing | Stage::Drawing => Progress::new(done(stage), 0, total),
            Stage::Verifying | Stage::Mending => Progress::of_bytes(done(stage), total),
        };
        Self { stage, progress, samples: AtomicU64::new(0), started: Instant::now() }
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
            tracing::info!("{} {rate} in {seconds:.1} s", done(self.stage));
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
