//! How far reading is.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use indicatif::HumanCount;

use crate::terminal::Progress;

/// Watches shards being read.
#[derive(Debug)]
pub(super) struct Watch {
    /// What is being done, in the past tense.
    done: &'static str,
    progress: Progress,
    images: AtomicU64,
    started: Instant,
}

impl Watch {
    /// Of `bytes` in all.
    pub(super) fn new(done: &'static str, bytes: u64) -> Self {
        let progress = Progress::of_bytes(done, bytes);
        Self { done, progress, images: AtomicU64::new(0), started: Instant::now() }
    }

    /// The image of a sample, of so many bytes, is done.
    pub(super) fn image(&self, bytes: u64) {
        self.images.fetch_add(1, Relaxed);
        self.progress.advance(bytes, || vec![self.rate()]);
    }

    /// A shard is done, of which so many bytes are no images.
    pub(super) fn rest(&self, bytes: u64) {
        self.progress.advance(bytes, || vec![self.rate()]);
    }

    /// Says how long it took.
    pub(super) fn finish(self) {
        let (done, rate, seconds) = (self.done, self.rate(), self.started.elapsed().as_secs_f64());
        drop(self.progress);
        tracing::info!("{done} {rate} in {seconds:.1} s");
    }

    fn rate(&self) -> String {
        let images = self.images.load(Relaxed);
        let rate = images as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        format!("{} samples, {rate:.0} a second", HumanCount(images))
    }
}
