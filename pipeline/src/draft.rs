//! A batch while it is being filled.

use shards::Sample;

use crate::{Batch, Lease, Shape, Slab};

/// A batch while it is being filled, with its views laid out as in a full one.
#[derive(Debug)]
pub(crate) struct BatchDraft<S: Slab> {
    /// The batch; its shape counts the samples so far.
    batch: Batch<S>,
    /// The number of samples in a full batch.
    room: usize,
}

impl<S: Slab> BatchDraft<S> {
    /// Begins an empty batch that will have at most the shape `full`.
    pub(crate) fn new(pixels: Lease<S>, full: Shape) -> Self {
        let room = full.samples;
        let batch = Batch {
            pixels,
            shape: Shape { samples: 0, ..full },
            labels: Vec::with_capacity(room),
            indices: Vec::with_capacity(room),
            bad_samples: Vec::new(),
            next: shards::Position::default(),
        };
        Self { batch, room }
    }

    /// Adds a sample with its views: (views, side, side, 3) bytes.
    pub(crate) fn push(&mut self, sample: &Sample, views: &[u8]) {
        let shape = self.batch.shape;
        let slab = self.batch.pixels.as_mut();
        for (k, view) in views.chunks_exact(shape.view_bytes()).enumerate() {
            slab[(k * self.room + shape.samples) * shape.view_bytes()..][..view.len()].copy_from_slice(view);
        }
        self.batch.shape.samples += 1;
        self.batch.labels.push(sample.label.map_or(-1, i64::from));
        self.batch.indices.push(sample.index as i64);
        self.batch.next = sample.next;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.batch.shape.samples == self.room
    }

    /// Returns the batch; the views of a partial batch are moved together.
    pub(crate) fn finish(mut self) -> Batch<S> {
        let shape = self.batch.shape;
        let (full, block) = (self.room * shape.view_bytes(), shape.samples * shape.view_bytes());
        if full != block {
            let slab = self.batch.pixels.as_mut();
            for k in 1..shape.views {
                slab.copy_within(k * full..k * full + block, k * block);
            }
        }
        self.batch
    }
}
