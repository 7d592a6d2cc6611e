//! The contents of a plan.

use dataset::Inventory;
use serde::Serialize;

use super::{
    disk::Disk,
    forecast::Forecast,
    loading::Loading,
    origins::Setting,
    processes::Processes,
    server::Server,
    standing::Standing,
    step::{Measured, Memory},
};
use crate::{optim::Schedule, run::enlarged::Enlarged};

/// The description of a run before it starts.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    pub(super) run: Standing,
    pub(super) data: Inventory,
    pub(super) validation: Option<Inventory>,
    /// The share of images that are smaller than the views made of them.
    pub(super) enlarged: Option<Enlarged>,
    pub(super) batch_size: usize,
    pub(super) epochs: f64,
    pub(super) steps: u64,
    pub(super) steps_an_epoch: f64,
    pub(super) schedule: Schedule,
    pub(super) parameters: usize,
    pub(super) gigamacs_a_step: f64,
    pub(super) device: String,
    pub(super) precision: String,
    pub(super) cores: usize,
    pub(super) threads: Threads,
    pub(super) memory: MemoryNeeds,
    /// None with `--no-measure`.
    pub(super) measured: Option<Findings>,
    /// None if no step was measured, or a step does not fit into memory.
    pub(super) forecast: Option<Forecast>,
    /// The line to the servers that the shards lie on; none for files.
    pub(super) server: Option<Server>,
    /// The run in several processes, with `--processes`.
    pub(super) processes: Option<Processes>,
    pub(super) checkpoints: Disk,
    pub(super) settings: Vec<Setting>,
}

/// The numbers of threads.
#[derive(Debug, Serialize)]
pub(super) struct Threads {
    pub(super) decode: usize,
    /// Threads that libtorch computes with; none on a GPU.
    pub(super) compute: Option<usize>,
}

/// The memory of a run, in bytes.
#[derive(Debug, Serialize)]
pub(super) struct MemoryNeeds {
    /// The size of the index of samples, estimated from their number.
    pub(super) index_bytes: u64,
    /// The size of a slab, which holds one batch in host memory.
    pub(super) slab_bytes: u64,
    /// The number of slabs.
    pub(super) slabs: usize,
    /// The size of the views on their way from the decoding threads to the batches.
    pub(super) spare_bytes: u64,
    /// The peak of this process while planning, including mapped shards.
    pub(super) host_peak_bytes: Option<u64>,
    /// The queues and memory banks of the method, on the device.
    pub(super) state: Vec<State>,
    /// The free memory of the host before planning.
    pub(super) host_free_bytes: Option<u64>,
    /// The free memory of the device before planning; none on the CPU.
    pub(super) device_free_bytes: Option<u64>,
}

/// State of a method that grows with the set or with a setting.
#[derive(Debug, Serialize)]
pub(super) struct State {
    pub(super) name: &'static str,
    pub(super) bytes: u64,
}

impl From<(&'static str, u64)> for State {
    fn from((name, bytes): (&'static str, u64)) -> Self {
        Self { name, bytes }
    }
}

/// The measurements.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    pub(super) loading: Loading,
    /// Loading with `--decode fast`, if it was measured.
    pub(super) loading_fast: Option<Loading>,
    /// None if a step does not fit into the device's memory.
    pub(super) step: Option<Measured>,
    /// Hints to reduce the memory of a step that does not fit.
    pub(super) cures: Vec<String>,
    /// Steps of three sizes, measured with `--gpu`.
    pub(super) by_batch: Option<ByBatch>,
}

/// The memory of a step, measured for three sizes.
#[derive(Debug, Serialize)]
pub(super) struct ByBatch {
    pub(super) steps: Vec<Measured>,
    /// None if too few steps were measured, or too small ones.
    pub(super) memory: Option<Memory>,
    /// The largest batch that fits into the free memory, up to `most`.
    pub(super) largest_batch: Option<usize>,
    /// The largest batch that the measurements are extrapolated to.
    pub(super) most: usize,
    /// The largest batch whose tensors CUDA can index; none on the CPU.
    pub(super) indexed: Option<usize>,
}
