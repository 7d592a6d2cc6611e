//! What `tch` does not offer: devices chosen by name, streams, events, pinned memory, the fused optimizer, precision, recorded
//! graphs, the profiler.
//!
//! All foreign calls are in this folder, behind safe functions. On the CPU, where work is done when its call returns,
//! streams and events are stand-ins that do nothing, so that the same code runs everywhere.

mod caught;
mod clock;
mod device;
mod ffi;
mod graph;
mod libtorch;
mod memory;
mod monitor;
mod precision;
mod profile;
mod readback;
mod signal;
mod stream;
mod threads;

pub use caught::{caught, within_memory};
pub use clock::{ClockState, clock_state};
pub use device::{DeviceChoice, device, has_driver, name};
pub use ffi::Failure;
pub(crate) use graph::Graph;
pub use graph::{GraphChoice, record_in_vain};
pub use libtorch::Libtorch;
pub use memory::{
    MemoryWatch, Pinned, Resident, copy, empty, free_memory, keep_host_memory, peak_memory, reserved_memory,
    resident_memory,
};
pub use monitor::{Driver, GpuMemory, Monitor};
pub use precision::{Autocast, Precision};
pub use profile::{Kernel, profile};
pub use readback::Readback;
pub use signal::is_ignored;
pub use stream::{Accelerator, Event, Stream};
pub use threads::{settle_threads, waited_for_cores};

pub(crate) use ffi::{
    AdamScalars, AdamSettings, AdamTensors, forget_gradients, fused_adam, gradient_norm, mm_relu,
};
