//! The thread that copies batches to the device.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::Result;
use crossbeam::{
    channel::{Receiver, Sender},
    select,
};
use pipeline::{BadSample, Batch, Loader, Stats, trace};
use tch::Tensor;
use torchkit::{Accelerator, Failure, Moment, Pinned, Stream};

use super::slot::{self, Source};
use crate::views::Views;

/// A slot for a batch of the pipeline.
pub(super) type Slot = slot::Slot<Batch<Pinned>>;

/// A slot that was filled with a batch.
#[derive(Debug)]
pub(super) struct FilledSlot {
    pub(super) slot: Slot,
    pub(super) views: Views,
    pub(super) bad_samples: Vec<BadSample>,
    pub(super) stats: Stats,
    pub(super) ready: usize,
    pub(super) id: u64,
    pub(super) copied: Option<[Moment; 2]>,
}

/// The state of the copying thread.
pub(super) struct Copier<F> {
    pub(super) loader: Loader<Pinned>,
    pub(super) finish: F,
    pub(super) slots: Receiver<Slot>,
    pub(super) stream: Stream,
    pub(super) accelerator: Option<Accelerator>,
    /// Nanoseconds that copying and normalizing took on the device so far.
    pub(super) copying: Arc<AtomicU64>,
}

impl<F: Fn(&Tensor, &Tensor) -> Result<(), Failure>> Copier<F> {
    /// Copies batches until they run out or the receiver is dropped. Returns the bad samples after the last
    /// batch.
    pub(super) fn run(
        mut self,
        filled: &Sender<Result<FilledSlot>>,
        stop: &Receiver<Infallible>,
    ) -> Vec<BadSample> {
        loop {
            let slot = trace::span("wait for room", || {
                select! {
                    recv(self.slots) -> slot => slot.ok(),
                    recv(stop) -> _ => None,
                }
            });
            let Some(item) = slot.and_then(|slot| self.fill(slot, stop).transpose()) else { break };
            let failed = item.is_err();
            if filled.send(item).is_err() || failed {
                break;
            }
        }
        self.loader.finish()
    }

    /// Fills a slot with the next batch. Returns `None` when the batches have run out or `stop` is
    /// disconnected.
    fn fill(&mut self, mut slot: Slot, stop: &Receiver<Infallible>) -> Result<Option<FilledSlot>> {
        self.stream.make_current()?;
        if let Some(milliseconds) = slot.wait_reusable()? {
            self.copying.fetch_add((milliseconds * 1e6) as u64, Relaxed);
        }
        let received = trace::span("wait for a batch", || self.loader.next_unless(stop));
        let Some(mut batch) = received.transpose()? else { return Ok(None) };
        let id = batch.id;
        trace::about(id);
        let (shapes, next, bad_samples) =
            (batch.shapes.clone(), batch.next, std::mem::take(&mut batch.bad_samples));
        let source = Source {
            pixels: batch.pixels.tensor(shapes.iter().map(|shape| shape.bytes()).sum()),
            labels: std::mem::take(&mut batch.labels),
            indices: std::mem::take(&mut batch.indices),
        };
        let begin = self.moment()?;
        trace::span("copy", || slot.fill(&source, batch, self.stream, &self.finish))?;
        let copied = begin.zip(self.moment()?).map(|(begin, end)| [begin, end]);
        let numbers = slot.numbers(source.labels.len());
        let groups = slot.groups(&shapes).into_iter().map(|images| images.permute([0, 1, 4, 2, 3]));
        let views = Views { groups: groups.collect(), labels: numbers.get(0), indices: numbers.get(1), next };
        Ok(Some(FilledSlot {
            slot,
            views,
            bad_samples,
            stats: self.loader.stats(),
            ready: self.loader.ready(),
            id,
            copied,
        }))
    }

    /// Returns a moment on the stream of copies, for a trace of a GPU.
    fn moment(&self) -> Result<Option<Moment>, Failure> {
        let traced = self.accelerator.filter(|_| trace::is_on());
        traced.map(|accelerator| Moment::queue(Some(accelerator))).transpose()
    }
}
