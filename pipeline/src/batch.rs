//! A batch, and the memory that holds it.

use std::ops::{Deref, DerefMut};

use crossbeam::channel::Sender;
use shards::Position;

use crate::BadSample;

/// Host memory for the views of one batch: a boxed slice, a vector, or pinned memory that a device copies
/// from.
pub trait Slab: AsRef<[u8]> + AsMut<[u8]> + Send + 'static {}

impl<T: AsRef<[u8]> + AsMut<[u8]> + Send + 'static> Slab for T {}

/// The shape of the pixels of a group of views in a batch: (views, samples, side, side, 3) bytes, without
/// gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The number of views of each sample.
    pub views: usize,
    /// The number of samples: the batch size, or fewer in the last batch of a finite stream.
    pub samples: usize,
    /// The width and height of a view in pixels.
    pub side: usize,
}

impl Shape {
    /// Returns the bytes of one view of one sample: 3 · side².
    pub fn view_bytes(self) -> usize {
        3 * self.side * self.side
    }

    /// Returns the bytes of the whole group.
    pub fn bytes(self) -> usize {
        self.views * self.samples * self.view_bytes()
    }
}

/// A batch of consecutive samples, decoded and augmented.
#[derive(Debug)]
pub struct Batch<S: Slab> {
    /// The views as interleaved RGB bytes, from the slab's first byte on; bytes after [`Shape::bytes`] are
    /// undefined.
    ///
    /// View *k* of all samples is one contiguous block, also in a partial batch.
    pub pixels: Lease<S>,
    /// The shape of each group of views; the groups lie one after the other.
    pub shapes: Vec<Shape>,
    /// The class of each sample; −1 for unlabelled ones.
    pub labels: Vec<i64>,
    /// The index of each sample in the whole set.
    pub indices: Vec<i64>,
    /// The bad samples after the last sample of the previous batch, up to the last one of this batch, in
    /// order; in a partial batch also those after it. [`Loader::finish`](crate::Loader::finish) returns bad
    /// samples after the last batch.
    pub bad_samples: Vec<BadSample>,
    /// The position of the stream after this batch; with several ranks, after the batch of all of them.
    pub next: Position,
    /// What [`trace`](crate::trace) calls this batch: a number that no other batch of this process has.
    pub id: u64,
}

impl<S: Slab> Batch<S> {
    /// Returns the number of samples.
    pub fn samples(&self) -> usize {
        self.indices.len()
    }

    /// Returns the bytes of all views, (views, samples, side, side, 3) for each group.
    pub fn bytes(&self) -> &[u8] {
        &self.pixels.as_ref()[..self.shapes.iter().map(|shape| shape.bytes()).sum()]
    }

    /// Returns the bytes of view `k` of all samples: (samples, side, side, 3).
    ///
    /// # Panics
    /// If there is no such view.
    pub fn view(&self, k: usize) -> &[u8] {
        let (mut k, mut bytes) = (k, self.bytes());
        for shape in &self.shapes {
            let block = shape.samples * shape.view_bytes();
            if k < shape.views {
                return &bytes[k * block..][..block];
            }
            k -= shape.views;
            bytes = &bytes[shape.bytes()..];
        }
        panic!("there are {k} views too few in the batch")
    }
}

/// A slab on loan from a [`Loader`](crate::Loader). Dropping the lease returns the slab for a later batch.
///
/// A lease may outlive its loader; then dropping it frees the slab.
#[derive(Debug)]
pub struct Lease<S> {
    /// The slab; only `drop` takes it out.
    slab: Option<S>,
    /// Returns slabs to the batching thread.
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
            // There is room for every slab, so this only fails after the loader is gone.
            drop(self.home.try_send(slab));
        }
    }
}
