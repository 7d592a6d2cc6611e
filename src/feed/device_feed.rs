//! The feed of batches on the device.

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
use pipeline::{BadSample, Loader, LoaderConfig, Normalization, Recipe};
use shards::Samples;
use tch::{Device, Kind, Tensor};
use torchkit::{Accelerator, Event, Failure, Pinned, Stream};

use super::{
    copier::{Copier, FilledSlot, Slot},
    device_batch::DeviceBatch,
    normalizer::Normalizer,
    waits::{Wait, Waits},
};

/// Batches on the device at a time: one is trained on while the other one is copied.
const DEPTH: usize = 2;

/// Returns the number of batches in host memory: those of the pipeline, and those that are being copied.
pub(crate) fn slabs(config: &LoaderConfig) -> usize {
    config.slabs() + DEPTH
}

/// The time that training spent on batches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeedTimes {
    /// Time that training waited for batches since the last record.
    pub(crate) waited: Duration,
    /// Time of copies to the device and of normalization there, so far.
    pub(crate) copied: Duration,
}

/// An iterator over batches on the device, which copies a batch while the one before is trained on. Dropping
/// it ends the pipeline.
#[derive(Debug)]
pub struct Feed {
    filled: Option<Receiver<Result<FilledSlot>>>,
    /// Takes slots back.
    free: Sender<Slot>,
    /// The stream on which batches are trained on.
    compute: Stream,
    accelerator: Option<Accelerator>,
    /// Nothing is sent: dropping it ends the copying thread.
    hangup: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<Vec<BadSample>>>,
    trailing: Vec<BadSample>,
    waits: Waits,
    copying: Arc<AtomicU64>,
}

impl Feed {
    /// Starts the pipeline on `samples`, and the copying thread. The images are normalized, and of a kind: f32 or
    /// bf16. Bad samples of an endless stream are replaced, those of others are left out.
    ///
    /// # Errors
    ///
    /// If a thread cannot be started, or host or device have too little memory.
    pub fn spawn(
        samples: Samples,
        recipe: Recipe,
        (normalization, kind): (Normalization, Kind),
        config: &LoaderConfig,
        device: Device,
    ) -> Result<Self> {
        let accelerator = Accelerator::of(device);
        // The host waits for the constants, but not for earlier work of the compute stream.
        let aside = Stream::current(accelerator)?.beside(accelerator)?;
        let normalizer = aside.scope(|| Normalizer::new(&normalization, device))?;
        let finish = move |bytes: &Tensor, images: &Tensor| {
            tch::no_grad(|| normalizer.write(&images.view([-1, 3]), &bytes.view([-1, 3])))
        };
        Self::spawn_on((accelerator, kind), samples, recipe, config, finish)
    }

    /// Starts pipeline and copying thread for an accelerator, or for the CPU. `finish` queues the work that
    /// makes images of the bytes on the device.
    fn spawn_on(
        (accelerator, kind): (Option<Accelerator>, Kind),
        samples: Samples,
        recipe: Recipe,
        config: &LoaderConfig,
        finish: impl Fn(&Tensor, &Tensor) -> Result<(), Failure> + Send + 'static,
    ) -> Result<Self> {
        let bytes = config.bytes(&recipe);
        let compute = Stream::current(accelerator)?;
        // Each slot keeps the host memory from which it is copied.
        let slabs: Result<Vec<_>, Failure> =
            (0..slabs(config)).map(|_| Pinned::new(bytes, accelerator)).collect();
        let loader = Loader::spawn_replacing(samples, recipe, slabs?, config)?;
        let (free, slots) = channel::bounded(DEPTH);
        for _ in 0..DEPTH {
            drop(free.try_send(Slot::new(bytes, config.batch_size, kind, accelerator)?));
        }
        let copying = Arc::new(AtomicU64::new(0));
        let copier = Copier {
            loader,
            finish,
            slots,
            stream: compute.beside(accelerator)?,
            accelerator,
            copying: copying.clone(),
        };
        // Earlier work in the queue may still use the memory that the device's allocator returned: the copies
        // wait for it, but the host does not.
        let allocated = Event::new(accelerator)?;
        allocated.record(compute)?;
        allocated.block(copier.stream)?;
        let (sender, filled) = channel::bounded(1);
        let (hangup, stop) = channel::bounded(0);
        let thread = thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || copier.run(&sender, &stop))
            .context("cannot start the copying thread")?;
        let mut feed = Self::of(filled, free, hangup, thread);
        (feed.accelerator, feed.compute, feed.copying) = (accelerator, compute, copying);
        Ok(feed)
    }

    fn of(
        filled: Receiver<Result<FilledSlot>>,
        free: Sender<Slot>,
        hangup: Sender<Infallible>,
        thread: JoinHandle<Vec<BadSample>>,
    ) -> Self {
        Self {
            filled: Some(filled),
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

    /// Waits for the next batch. Returns `None` when the samples have run out, or when `stop` is disconnected
    /// first.
    pub fn next_unless(&mut self, stop: &Receiver<Infallible>) -> Option<Result<DeviceBatch>> {
        // Measured from the end of the previous batch on the device, not from when the host asks.
        let idle = match self.event() {
            Ok(idle) => idle,
            Err(error) => return Some(Err(error.into())),
        };
        let filled = self.filled.as_ref()?;
        let start = Instant::now();
        let received = select! {
            recv(filled) -> item => item.map(Some),
            recv(stop) -> _ => Ok(None),
        };
        self.waits.host += start.elapsed();
        match received {
            Ok(item) => item.map(|filled| self.device_batch(filled?, idle)),
            Err(_) => self.join().err().map(Err),
        }
    }

    /// Records an event on the compute stream.
    fn event(&self) -> Result<Event, Failure> {
        let event = Event::timed(self.accelerator)?;
        event.record(self.compute)?;
        Ok(event)
    }

    /// Makes the device, not the host, wait for a batch. `idle` is the event from which it waits.
    fn device_batch(&mut self, filled: FilledSlot, idle: Event) -> Result<DeviceBatch> {
        filled.slot.wait_filled(self.compute)?;
        if self.accelerator.is_some() {
            let wait = Wait { start: idle, end: self.event()? };
            self.waits.open.push_back(wait);
            self.waits.collect()?;
        }
        let FilledSlot { slot, views, bad_samples, stats, ready, id, copied } = filled;
        let (slot, free) = (Some(slot), self.free.clone());
        Ok(DeviceBatch { views, bad_samples, stats, ready, id, copied, slot, free, compute: self.compute })
    }

    /// Ends the pipeline, and returns the bad samples that no batch has reported.
    pub fn finish(&mut self) -> Vec<BadSample> {
        // The iterator has reported a panic already.
        let _ = self.join();
        std::mem::take(&mut self.trailing)
    }

    /// Disconnects the copying thread and waits for it.
    ///
    /// # Errors
    ///
    /// If it panicked.
    fn join(&mut self) -> Result<()> {
        (self.filled, self.hangup) = (None, None);
        if let Some(thread) = self.thread.take() {
            self.trailing = thread.join().map_err(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                anyhow!("the copying thread panicked: {text}")
            })?;
        }
        Ok(())
    }

    /// Returns the times for a record, and starts to measure `waited` anew.
    pub(crate) fn take_times(&mut self) -> Result<FeedTimes> {
        Ok(FeedTimes { waited: self.take_waited()?, copied: self.copying_time() })
    }

    /// Returns the time that training waited for batches since the last call. On an accelerator, it counts
    /// the waits that are over.
    pub fn take_waited(&mut self) -> Result<Duration> {
        self.waits.collect()?;
        let (host, device) = (std::mem::take(&mut self.waits.host), std::mem::take(&mut self.waits.device));
        Ok(if self.accelerator.is_some() { device } else { host })
    }

    /// Returns the time of copies to the device and of normalization there, so far; zero on the CPU.
    pub fn copying_time(&self) -> Duration {
        Duration::from_nanos(self.copying.load(Relaxed))
    }
}

impl Iterator for Feed {
    type Item = Result<DeviceBatch>;

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
