//! What a method is.

use tch::Tensor;

use crate::{
    encoder::{Embedder, Encoder},
    views::Views,
};

/// What a method makes of the embeddings of a whole batch.
#[derive(Debug)]
pub struct Objective {
    /// The scalar that is minimized, with a graph.
    pub total: Tensor,
    /// Its scalar parts, each under the name it is logged by.
    pub parts: Vec<(&'static str, Tensor)>,
}

/// A method for training an encoder without labels.
///
/// All its state lies in tensors under the path that it is built with: what is trained, and what is not, such as queues, banks
/// and the parameters of momentum encoders. So checkpoints hold it. A step is recorded once and replayed on a device that can:
/// what differs from step to step has to lie in tensors, as nothing else of these functions is done again.
pub trait Method {
    /// What maps views to the embeddings that the objective is of.
    fn embedder(&self) -> &dyn Embedder;

    /// The objective of the embeddings of a whole batch, (v, n, …) each. Its gradient goes back through `embeddings` alone.
    fn objective(&self, embeddings: &[Tensor], views: &Views) -> Objective;

    /// Features (v, n, width) for the online probe, of the embeddings of a batch.
    fn features(&self, embeddings: &[Tensor]) -> Tensor;

    /// The loss to expect from features that say nothing, for a batch of `n` samples.
    fn chance(&self, n: i64) -> f64;

    /// The largest batch whose tensors all have at most 2³¹ − 1 elements, if it is encoded in so many parts: CUDA's kernels count
    /// in 32 bits.
    fn largest_batch(&self, parts: i64) -> i64;

    /// Multiply-accumulates of a step with `n` samples: convolutions, scores and both of their products on the way back. What is
    /// computed again to save memory is not counted.
    fn macs(&self, n: i64) -> f64;

    /// What is trained for use elsewhere.
    fn encoder(&self) -> &dyn Encoder;

    /// Called after every update; momentum encoders and queues move here.
    fn after_step(&mut self) {}
}
