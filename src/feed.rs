//! The copying thread: host batches become normalized views on the device.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use crossbeam::channel::{self, Receiver, Sender};
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
    thread: Option<JoinHandle<()>>,
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
        let thread = thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || copy(loader, &Normalizer::new(&normalization, device), &sender))
            .context("cannot start the copying thread")?;
        Ok(Self { staged: Some(staged), thread: Some(thread), waited: Duration::ZERO })
    }

    /// Time that the consumer spent waiting for batches since the last call.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }
}

impl Iterator for Feed {
    type Item = Result<Staged>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = Instant::now();
        let staged = self.staged.as_ref()?.recv().ok();
        self.waited += start.elapsed();
        staged
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.staged = None; // hangs up
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the copying thread panicked");
        }
    }
}

/// Copies until the batches run out or nobody wants them.
fn copy(mut loader: Loader<Box<[u8]>>, normalizer: &Normalizer, staged: &Sender<Result<Staged>>) {
    while let Some(batch) = loader.next() {
        let item = batch.map_err(anyhow::Error::from).map(|batch| normalizer.stage(batch, loader.stats()));
        let failed = item.is_err();
        if staged.send(item).is_err() || failed {
            return;
        }
    }
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
