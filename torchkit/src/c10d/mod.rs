//! Ranks that compute together: threads or processes that exchange tensors by libtorch's c10d.
//!
//! Ranks find each other by a [`Store`] and form a [`Group`], whose collectives exchange tensors: by gloo on a CPU, by
//! NCCL on CUDA. A [`Reducer`] averages gradients while they are computed. **Every rank must call the same collectives
//! in the same order**, those of the way back included; otherwise they fail at the timeout, or exchange the wrong
//! tensors.
//!
//! Nothing waits longer than a timeout. A group that failed stays failed: every later collective is an error.

mod address;
mod ffi;
mod gradients;
mod group;
mod handle;
mod nccl;
mod reducer;
mod store;
#[cfg(test)]
mod tests;
mod within;

pub use group::{Group, ReduceOp, Reduction};
pub use reducer::Reducer;
pub use store::Store;
