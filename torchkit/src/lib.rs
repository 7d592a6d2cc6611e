//! Additions to [`tch`]: devices chosen by name, streams, events, pinned memory, the fused optimizer,
//! precision, fused layers, CUDA graphs, the profiler, groups of processes.
//!
//! All foreign calls of the program are in this crate, behind safe functions. On the CPU, where a call
//! returns when its work is done, streams and events are stand-ins that do nothing, so that the same code
//! runs on every device.
//!
//! ```
//! use tch::{Kind, Tensor};
//! use torchkit::{Accelerator, DeviceChoice, Precision, Readback, caught};
//!
//! let device = torchkit::device(DeviceChoice::Cpu)?;
//! let accelerator = Accelerator::of(device); // `None`: the CPU queues nothing
//!
//! // Failures of libtorch are errors, not panics.
//! let x = Tensor::ones([2, 3], (Kind::Float, device));
//! let failure = caught(|| x.matmul(&x)).unwrap_err();
//! assert!(failure.message.contains("2x3") && !failure.is_out_of_memory);
//!
//! // Inside of the scope products are computed in bf16; sums of few ones are exact in it.
//! let scope = Precision::Bf16.autocast(device)?;
//! let product = x.matmul(&x.transpose(0, 1));
//! drop(scope);
//!
//! // The copy is queued; the host may go on and read the numbers later.
//! let numbers = Readback::queue(&product.to_kind(Kind::Float).flatten(0, 1), accelerator)?;
//! assert_eq!(numbers.read()?, [3.0; 4]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod c10d;
mod caught;
mod choice;
mod clock;
mod cuda_library;
mod device;
mod failure;
mod ffi;
mod fused;
#[cfg(test)]
mod generator;
mod graph;
mod libtorch;
mod memory;
mod moment;
mod monitor;
mod norms;
mod precision;
mod profile;
mod readback;
mod scores;
mod signal;
mod stream;
mod threads;
mod update;

pub use c10d::{Group, ReduceOp, Reducer, Reduction, Store};
pub use caught::caught;
pub use choice::Choice;
pub use clock::{ClockState, clock_state};
pub use device::{DeviceChoice, NoDevice, device, has_driver, name};
pub use failure::{Failure, NetworkFault};
pub use fused::{
    Piece, convolution_relu, pointwise_convolution, refused_products, reshaping_residual, residual_chain,
    residual_head,
};
pub use graph::{Graph, fail_recording};
pub use libtorch::Libtorch;
pub use memory::{
    MemoryWatch, Pinned, Resident, copy, empty, free_memory, keep_host_memory, peak_memory, reserved_memory,
    resident_memory,
};
pub use moment::Moment;
pub use monitor::{Driver, GpuLoad, GpuMemory, Monitor};
pub use norms::BatchNorm;
pub use precision::{Autocast, Precision};
pub use profile::{Kernel, profile};
pub use readback::Readback;
pub use scores::{
    ClippedScores, MOST_CLIP, clipped_scores, log_sum_exp_and_largest_score, log_sum_exp_of_scores,
};
pub use signal::is_ignored;
pub use stream::{Accelerator, Event, Stream};
pub use threads::{settle_threads, waited_for_cores};
pub use update::{Rule, Scalars, Updated, all_finite, forget_gradients, gradient_norm, update};
