//! A batch while it is being filled.

use shards::Sample;

use crate::{Batch, Lease, Shape, Slab};

/// A batch while it is being filled, with its views laid out as in a full one.
#[derive(Debug)]
pub(crate) struct BatchDraft<S: Slab> {
    /// The batch; its shapes count the samples so far.
    batch: Batch<S>,
    /// The number of samples in a full batch.
    room: usize,
}

impl<S: Slab> BatchDraft<S> {
    /// Begins an empty batch `id` of at most `room` samples, with the views of `full`.
    pub(crate) fn new(pixels: Lease<S>, full: &[Shape], room: usize, id: u64) -> Self {
        let batch = Batch {
            pixels,
            shapes: full.iter().map(|shape| Shape { samples: 0, ..*shape }).collect(),
            labels: Vec::with_capacity(room),
            indices: Vec::with_capacity(room),
            bad_samples: Vec::new(),
            next: shards::Position::default(),
            id,
        };
        Self { batch, room }
    }

    /// Adds a sample with its views, one after the other: (side, side, 3) bytes for each.
    pub(crate) fn push(&mut self, sample: &Sample, mut views: &[u8]) {
        let mut slab = self.batch.pixels.as_mut();
        for shape in &mut self.batch.shapes {
            let (group, others) = views.split_at(shape.views * shape.view_bytes());
            let blocks = slab.chunks_exact_mut(self.room * shape.view_bytes());
            for (view, block) in group.chunks_exact(shape.view_bytes()).zip(blocks) {
                block[shape.samples * shape.view_bytes()..][..view.len()].copy_from_slice(view);
            }
            shape.samples += 1;
            views = others;
            slab = &mut std::mem::take(&mut slab)[self.room * shape.views * shape.view_bytes()..];
        }
        self.batch.labels.push(sample.label.map_or(-1, i64::from));
        self.batch.indices.push(sample.index as i64);
        self.batch.next = sample.next;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.batch.samples() == self.room
    }

    /// Returns the batch; the views of a partial batch are moved together.
    pub(crate) fn finish(mut self) -> Batch<S> {
        if !self.is_full() {
            let slab = self.batch.pixels.as_mut();
            let (mut from, mut to) = (0, 0);
            for shape in &self.batch.shapes {
                let (full, block) = (self.room * shape.view_bytes(), shape.samples * shape.view_bytes());
                for _ in 0..shape.views {
                    slab.copy_within(from..from + block, to);
                    (from, to) = (from + full, to + block);
                }
            }
        }
        self.batch
    }
}
