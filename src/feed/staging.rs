//! Batches on the device while the one before is trained on.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use crossbeam::{
    channel::{self, Receiver, Sender},
    select,
};
use pipeline::{BadSample, Loader, LoaderConfig, Normalization, Recipe, Stats};
use shards::Samples;
use tch::{Device, Tensor};
use torchkit::{Accelerator, Event, Failure, Pinned, Stream};

use super::{
    copier::{Copier, Ready, Slot},
    normalizer::Normalizer,
    waits::Waits,
};
use crate::views::Views;

/// Batches on the device at a time: one that is trained on, and one that is copied meanwhile.
const DEPTH: usize = 2;

/// Batches in the host's memory: those of the pipeline, and those that are copied from.
pub(crate) fn slabs(config: &LoaderConfig) -> usize {
    config.slabs() + DEPTH
}

/// What batches cost training.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeedTimes {
    /// Time that training waited for batches since the last record.
    pub(crate) waited: Duration,
    /// Time that copies to the device and the normalization there have taken so far.
    pub(crate) copied: Duration,
}

/// A batch on the device with what is to be said of it. Dropped when all that reads it has been queued, it gives its memory
/// back for a later one.
#[derive(Debug)]
pub struct Staged {
    /// The batch.
    pub views: Views,
    /// Samples that could not be used since the batch before.
    pub bad_samples: Vec<BadSample>,
    /// The pipeline's work up to this batch.
    pub stats: Stats,
    /// Taken out by `drop` alone.
    slot: Option<Slot>,
    free: Sender<Slot>,
    compute: Stream,
}

impl Drop for Staged {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        match slot.release(self.compute) {
            // There is room for every slot, so this fails only when the feed is gone.
            Ok(()) => drop(self.free.try_send(slot)),
            Err(error) => tracing::error!("a batch's memory is lost: {error}"),
        }
    }
}

/// Batches, ready on the device while the one before is trained on. Dropping it ends the pipeline.
#[derive(Debug)]
pub struct Feed {
    staged: Option<Receiver<Result<Ready>>>,
    /// Where slots go back to.
    free: Sender<Slot>,
    /// The queue that batches are trained on.
    compute: Stream,
    accelerator: Option<Accelerator>,
    /// Nothing is ever sent: dropping it tells the copying thread that nobody listens.
    hangup: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<Vec<BadSample>>>,
    trailing: Vec<BadSample>,
    waits: Waits,
    copying: Arc<AtomicU64>,
}

impl Feed {
    /// Starts the pipeline on `samples` and the copying behind it.
    pub fn spawn(
        samples: Samples,
        recipe: Recipe,
        normalization: Normalization,
        config: &LoaderConfig,
        device: Device,
    ) -> Result<Self> {
        let normalizer = Normalizer::new(&normalization, device);
        let finish = move |bytes: &Tensor, floats: &Tensor| {
            torchkit::copy(floats, bytes)?;
            torchkit::caught(|| tch::no_grad(|| normalizer.normalize(&floats.view([-1, 3]))))
        };
        Self::spawn_on(Accelerator::of(device), samples, recipe, config, finish)
    }

    /// Starts both for an accelerator, or the CPU. `finish` makes floats of the bytes on the device.
    fn spawn_on(
        accelerator: Option<Accelerator>,
        samples: Samples,
        recipe: Recipe,
        config: &LoaderConfig,
        finish: impl Fn(&Tensor, &Tensor) -> Result<(), Failure> + Send + 'static,
    ) -> Result<Self> {
        let shape = config.shape(&recipe);
        let compute = Stream::current(accelerator)?;
        // Each slot holds on to the memory that it was copied from.
        let slabs: Result<Vec<_>, Failure> =
            (0..slabs(config)).map(|_| Pinned::new(shape.bytes(), accelerator)).collect();
        let loader = Loader::spawn(samples, recipe, slabs?, config)?;
        let (free, slots) = channel::bounded(DEPTH);
        for _ in 0..DEPTH {
            drop(free.try_send(Slot::new(shape, accelerator)?));
        }
        let copying = Arc::new(AtomicU64::new(0));
        let copier =
            Copier { loader, finish, slots, stream: compute.beside(accelerator)?, copying: copying.clone() };
        // What the device's allocator gave us may still be in use by work that was queued before.
        compute.synchronize()?;
        let (sender, staged) = channel::bounded(1);
        let (hangup, stop) = channel::bounded(0);
        let thread = thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || copier.run(&sender, &stop))
            .context("cannot start the copying thread")?;
        let mut feed = Self::of(staged, free, hangup, thread);
        (feed.accelerator, feed.compute, feed.copying) = (accelerator, compute, copying);
        Ok(feed)
    }

    fn of(
        staged: Receiver<Result<Ready>>,
        free: Sender<Slot>,
        hangup: Sender<Infallible>,
        thread: JoinHandle<Vec<BadSample>>,
    ) -> Self {
        Self {
            staged: Some(staged),
            free,
            compute: Stream::of_cpu(),
            accelerator: None,
            hangup: Some(hangup),
            thread: Some(thread),
            trailing: Vec::new(),
            waits: Waits::default(),
            copying: Arc::default(),
        }
    }

    /// The next batch; none when the samples have run out, or when `stop` is disconnected first.
    pub fn next_unless(&mut self, stop: &Receiver<Infallible>) -> Option<Result<Staged>> {
        // Where the device stands when the batch before is done with: it waits from there on, whatever the host does.
        let idle = match self.mark() {
            Ok(idle) => idle,
            Err(error) => return Some(Err(error.into())),
        };
        let staged = self.staged.as_ref()?;
        let start = Instant::now();
        let received = select! {
            recv(staged) -> item => item.map(Some),
            recv(stop) -> _ => Ok(None),
        };
        self.waits.host += start.elapsed();
        match received {
            Ok(ready) => ready.map(|ready| ready.and_then(|ready| self.stage(ready, idle))),
            Err(_) => self.join().err().map(Err),
        }
    }

    /// A mark where the compute queue stands.
    fn mark(&self) -> Result<Event, Failure> {
        let mark = Event::timed(self.accelerator)?;
        mark.record(self.compute)?;
        Ok(mark)
    }

    /// Lets the device, not the host, wait for the batch.
    fn stage(&mut self, ready: Ready, idle: Event) -> Result<Staged> {
        ready.slot.wait_filled(self.compute)?;
        if self.accelerator.is_some() {
            self.waits.marks.push_back([idle, self.mark()?]);
            self.waits.collect()?;
        }
        let Ready { slot, views, bad_samples, stats } = ready;
        let (slot, free) = (Some(slot), self.free.clone());
        Ok(Staged { views, bad_samples, stats, slot, free, compute: self.compute })
    }

    /// Ends the pipeline and gives the unusable samples that no batch has reported.
    pub fn finish(mut self) -> Vec<BadSample> {
        // A panic that mattered has been reported by the iterator.
        let _ = self.join();
        std::mem::take(&mut self.trailing)
    }

    /// Hangs up and waits for the thread; an error says how it panicked.
    fn join(&mut self) -> Result<()> {
        (self.staged, self.hangup) = (None, None);
        if let Some(thread) = self.thread.take() {
            self.trailing = thread.join().map_err(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                anyhow!("the copying thread panicked: {text}")
            })?;
        }
        Ok(())
    }

    /// The times for a record.
    pub(crate) fn take_times(&mut self) -> Result<FeedTimes> {
        Ok(FeedTimes { waited: self.take_waited()?, copied: self.copying_time() })
    }

    /// Time that training waited for batches since the last call; on a device that of the waits that are over.
    pub fn take_waited(&mut self) -> Result<Duration> {
        self.waits.collect()?;
        let (host, device) = (std::mem::take(&mut self.waits.host), std::mem::take(&mut self.waits.device));
        Ok(if self.accelerator.is_some() { device } else { host })
    }

    /// Time that copies to the device and the normalization there have taken so far; zero on the CPU.
    pub fn copying_time(&self) -> Duration {
        Duration::from_nanos(self.copying.load(Relaxed))
    }
}

impl Iterator for Feed {
    type Item = Result<Staged>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_unless(&channel::never())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Err(error) = self.join() {
            tracing::error!("{error}");
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
