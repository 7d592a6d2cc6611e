//! What `tch` does not offer: devices chosen by name, streams, events, pinned memory, the fused optimizer, precision, recorded
//! graphs, the profiler.
//!
//! All foreign calls are in this crate, behind safe functions. On the CPU, where work is done when its call returns,
//! streams and events are stand-ins that do nothing, so that the same code runs everywhere.

mod caught;
mod clock;
mod device;
mod failure;
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

pub use caught::caught;
pub use clock::{ClockState, clock_state};
pub use device::{DeviceChoice, NoDevice, device, has_driver, name};
pub use failure::Failure;
pub use ffi::{AdamScalars, AdamSettings, AdamTensors, forget_gradients, fused_adam, gradient_norm, mm_relu};
pub use graph::{Graph, GraphChoice, record_in_vain};
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

/// Torch's generator for one test alone: it is the process', and tests run side by side.
#[cfg(test)]
fn generator() -> std::sync::MutexGuard<'static, ()> {
    static GENERATOR: std::sync::Mutex<()> = std::sync::Mutex::new(());
    GENERATOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
