//! The copying thread: host batches become normalized views on the device.

use std::{
    convert::Infallible,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use crossbeam::{
    channel::{self, Receiver, Sender},
    select,
};
use pipeline::{Batch, Loader, LoaderConfig, Normalization, Recipe, Shape, Skipped, Stats};
use shards::Samples;
use tch::{Device, Kind, Tensor};

use crate::method::Views;

/// A batch on the device with what is to be said of it.
#[derive(Debug)]
pub struct Staged {
    /// The batch.
    pub views: Views,
    /// Samples that could not be used since the batch before.
    pub skipped: Vec<Skipped>,
    /// The pipeline's work up to this batch.
    pub stats: Stats,
}

/// Batches, ready on the device while the one before is trained on. Dropping it ends the pipeline.
#[derive(Debug)]
pub struct Feed {
    staged: Option<Receiver<Result<Staged>>>,
    /// Nothing is ever sent: dropping it tells the copying thread that nobody listens.
    hangup: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<Vec<Skipped>>>,
    trailing: Vec<Skipped>,
    waited: Duration,
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
        let slab = vec![0; config.shape(&recipe).bytes()].into_boxed_slice();
        let loader = Loader::spawn(samples, recipe, vec![slab; config.slabs()], config)?;
        let (sender, staged) = channel::bounded(1);
        let (hangup, stop) = channel::bounded(0);
        let thread = thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || copy(loader, &Normalizer::new(&normalization, device), &sender, &stop))
            .context("cannot start the copying thread")?;
        Ok(Self::of(staged, hangup, thread))
    }

    fn of(
        staged: Receiver<Result<Staged>>,
        hangup: Sender<Infallible>,
        thread: JoinHandle<Vec<Skipped>>,
    ) -> Self {
        let (staged, hangup, thread) = (Some(staged), Some(hangup), Some(thread));
        Self { staged, hangup, thread, trailing: Vec::new(), waited: Duration::ZERO }
    }

    /// The next batch; none when the samples have run out, or when `stop` is disconnected first.
    pub fn next_unless(&mut self, stop: &Receiver<Infallible>) -> Option<Result<Staged>> {
        let staged = self.staged.as_ref()?;
        let start = Instant::now();
        let received = select! {
            recv(staged) -> item => item.map(Some),
            recv(stop) -> _ => Ok(None),
        };
        self.waited += start.elapsed();
        received.unwrap_or_else(|_| self.join().err().map(Err))
    }

    /// Ends the pipeline and gives the unusable samples that no batch has reported.
    pub fn finish(mut self) -> Vec<Skipped> {
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

    /// Time that the consumer spent waiting for batches since the last call.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
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

/// Copies until the batches run out or nobody wants them; gives the unusable samples after the last one.
fn copy(
    mut loader: Loader<Box<[u8]>>,
    normalizer: &Normalizer,
    staged: &Sender<Result<Staged>>,
    stop: &Receiver<Infallible>,
) -> Vec<Skipped> {
    while let Some(batch) = loader.next_unless(stop) {
        let item = batch.map_err(anyhow::Error::from).map(|batch| normalizer.stage(batch, loader.stats()));
        let failed = item.is_err();
        if staged.send(item).is_err() || failed {
            break;
        }
    }
    loader.finish()
}

/// Mean and spread of the channels, on the device.
#[derive(Debug)]
struct Normalizer {
    mean: Tensor,
    std: Tensor,
    device: Device,
}

impl Normalizer {
    fn new(normalization: &Normalization, device: Device) -> Self {
        let channels = |values: &[f64; 3]| {
            Tensor::from_slice(values).to_kind(Kind::Float).view([1, 1, 3, 1, 1]).to_device(device)
        };
        Self { mean: channels(&normalization.mean), std: channels(&normalization.std), device }
    }

    fn stage(&self, batch: Batch<Box<[u8]>>, stats: Stats) -> Staged {
        let Shape { views, samples, side } = batch.shape;
        let shape = [views, samples, side, side, 3].map(|size| size as i64);
        let pixels = Tensor::from_data_size(batch.bytes(), &shape, Kind::Uint8);
        let pixels = pixels.to_device(self.device).permute([0, 1, 4, 2, 3]);
        let images = (pixels.to_kind(Kind::Float) - &self.mean) / &self.std;
        let views = Views {
            images: images.contiguous(),
            labels: Tensor::from_slice(&batch.labels).to_device(self.device),
            indices: Tensor::from_slice(&batch.indices).to_device(self.device),
            next: batch.next,
        };
        Staged { views, skipped: batch.skipped, stats }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(thread: impl FnOnce(Sender<Result<Staged>>) -> Vec<Skipped> + Send + 'static) -> Feed {
        let (sender, staged) = channel::bounded(1);
        let (hangup, _) = channel::bounded(0);
        Feed::of(staged, hangup, thread::spawn(move || thread(sender)))
    }

    #[test]
    fn a_panic_of_the_copying_thread_is_an_error_and_not_the_end() {
        let mut feed = feed(|_sender| panic!("out of memory"));
        let error = feed.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("out of memory"), "{error}");
        assert!(feed.next().is_none());
    }

    #[test]
    fn waiting_ends_when_the_run_is_asked_to_stop() {
        let (keep, kept) = channel::bounded::<Infallible>(0);
        let mut feed = feed(move |sender| {
            // Sends nothing until the test is over.
            let _ = kept.recv();
            drop(sender);
            Vec::new()
        });
        let (listening, stop) = channel::bounded::<Infallible>(0);
        drop(listening);
        assert!(feed.next_unless(&stop).is_none());
        drop(keep);
    }
}
