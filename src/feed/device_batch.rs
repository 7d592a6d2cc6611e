//! A batch on the device.

use crossbeam::channel::Sender;
use pipeline::{BadSample, Stats};
use torchkit::{Moment, Stream};

use super::copier::Slot;
use crate::views::Views;

/// A batch on the device, with the bad samples before it and the cost of loading. Drop it when all work that
/// reads it has been queued: its memory is then reused for a later batch.
#[derive(Debug)]
pub struct DeviceBatch {
    /// The batch.
    pub views: Views,
    /// Bad samples since the batch before.
    pub bad_samples: Vec<BadSample>,
    /// The work of the pipeline up to this batch.
    pub stats: Stats,
    /// Further batches that were ready in host memory when this one was copied.
    pub(crate) ready: usize,
    /// What a trace calls the batch.
    pub(crate) id: u64,
    /// Begin and end of the copy on a GPU, while a trace is recorded.
    pub(crate) copied: Option<[Moment; 2]>,
    /// The memory of the batch; none only while the batch is dropped.
    pub(super) slot: Option<Slot>,
    /// Takes the slot back.
    pub(super) free: Sender<Slot>,
    /// The stream on which the batch is read.
    pub(super) compute: Stream,
}

impl Drop for DeviceBatch {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        match slot.release(self.compute) {
            // The channel has room for every slot, so this fails only after the feed was dropped.
            Ok(()) => drop(self.free.try_send(slot)),
            Err(error) => tracing::error!("cannot reuse the memory of a batch: {error}"),
        }
    }
}
