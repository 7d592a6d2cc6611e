//! A batch and the memory it lies in.

use std::ops::{Deref, DerefMut};

use crossbeam::channel::Sender;
use shards::Position;

use crate::BadSample;

/// Host memory for the views of one batch: a boxed slice, or pinned memory that a device copies from.
pub trait Slab: AsRef<[u8]> + AsMut<[u8]> + Send + 'static {}

impl<T: AsRef<[u8]> + AsMut<[u8]> + Send + 'static> Slab for T {}

/// What the pixels of a batch are: (views, samples, side, side, 3) bytes, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Views of each sample.
    pub views: usize,
    /// Samples: the batch size, or fewer in the last batch of a finite stream.
    pub samples: usize,
    /// Width and height of a view.
    pub side: usize,
}

impl Shape {
    /// Bytes of one view of one sample.
    pub fn view_bytes(self) -> usize {
        3 * self.side * self.side
    }

    /// Bytes of the whole batch.
    pub fn bytes(self) -> usize {
        self.views * self.samples * self.view_bytes()
    }
}

/// Consecutive samples, decoded and augmented.
#[derive(Debug)]
pub struct Batch<S: Slab> {
    /// The views, interleaved RGB, from the slab's first byte on; what follows [`Shape::bytes`] means nothing.
    ///
    /// View *k* of all samples is one contiguous block, also where the batch is a partial one.
    pub pixels: Lease<S>,
    /// What the pixels are.
    pub shape: Shape,
    /// The classes; −1 where a sample has none.
    pub labels: Vec<i64>,
    /// The samples' numbers in the whole set.
    pub indices: Vec<i64>,
    /// The bad samples between the last one of the batch before and the last one of this batch, in order; in a partial
    /// batch also those after it. [`Loader::finish`](crate::Loader::finish) gives those that follow no batch.
    pub bad_samples: Vec<BadSample>,
    /// Where the stream goes on after this batch.
    pub next: Position,
}

impl<S: Slab> Batch<S> {
    /// The bytes of all views.
    pub fn bytes(&self) -> &[u8] {
        &self.pixels.as_ref()[..self.shape.bytes()]
    }

    /// The bytes of view `k` of all samples.
    pub fn view(&self, k: usize) -> &[u8] {
        let block = self.shape.samples * self.shape.view_bytes();
        &self.bytes()[k * block..][..block]
    }
}

/// A slab on loan from a [`Loader`](crate::Loader): dropping it gives the slab back for a later batch.
///
/// It may outlive its loader; its slab is freed then.
#[derive(Debug)]
pub struct Lease<S> {
    /// Taken out by `drop` alone.
    slab: Option<S>,
    home: Sender<S>,
}

impl<S> Lease<S> {
    pub(crate) fn new(slab: S, home: Sender<S>) -> Self {
        Self { slab: Some(slab), home }
    }
}

impl<S> Deref for Lease<S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.slab.as_ref().expect("a lease has its slab until dropped")
    }
}

impl<S> DerefMut for Lease<S> {
    fn deref_mut(&mut self) -> &mut S {
        self.slab.as_mut().expect("a lease has its slab until dropped")
    }
}

impl<S> Drop for Lease<S> {
    fn drop(&mut self) {
        if let Some(slab) = self.slab.take() {
            // There is room for every slab, so this fails only when the loader is gone.
            drop(self.home.try_send(slab));
        }
    }
}
