//! How far reading is: a bar on a terminal, plain lines elsewhere.

use std::{
    env,
    io::IsTerminal,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two plain lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Watches shards being read.
#[derive(Debug)]
pub(super) struct Watch {
    /// What is being done, in the past tense.
    done: &'static str,
    /// Counts bytes.
    bar: ProgressBar,
    images: AtomicU64,
    started: Instant,
    /// When the last line was shown; none where there is a bar.
    last_line: Option<Mutex<Instant>>,
}

impl Watch {
    /// Of `bytes` in all.
    pub(super) fn new(done: &'static str, bytes: u64) -> Self {
        let has_bar = std::io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
        let target = if has_bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {msg}, {eta} left")
        {
            bar.set_style(style);
        }
        let started = Instant::now();
        let last_line = (!has_bar).then(|| Mutex::new(started));
        Self { done, bar, images: AtomicU64::new(0), started, last_line }
    }

    /// The image of a sample, of so many bytes, is done.
    pub(super) fn image(&self, bytes: u64) {
        self.bar.inc(bytes);
        let images = self.images.fetch_add(1, Relaxed) + 1;
        let Some(last_line) = &self.last_line else {
            if images.is_multiple_of(64) {
                self.bar.set_message(self.rate());
            }
            return;
        };
        let mut last = last_line.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= INTERVAL {
            *last = Instant::now();
            let (read, all) =
                (DecimalBytes(self.bar.position()), DecimalBytes(self.bar.length().unwrap_or(0)));
            tracing::info!("{read} of {all}, {}", self.rate());
        }
    }

    /// A shard is done, of which so many bytes are no images.
    pub(super) fn rest(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Says how long it took.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
        let seconds = self.started.elapsed().as_secs_f64();
        tracing::info!("{} {} in {seconds:.1} s", self.done, self.rate());
    }

    fn rate(&self) -> String {
        let images = self.images.load(Relaxed);
        let rate = images as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        format!("{} samples, {rate:.0} a second", HumanCount(images))
    }
}
