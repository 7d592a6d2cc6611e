//! What a plan consists of.

use dataset::Inventory;
use serde::Serialize;

use super::{
    disk::Disk,
    forecast::Forecast,
    loading::Loading,
    origins::Setting,
    standing::Standing,
    step::{Measured, Memory},
};
use crate::{optim::Schedule, run::enlarged::Enlarged};

/// What a run will come to.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    pub(super) run: Standing,
    pub(super) data: Inventory,
    pub(super) validation: Option<Inventory>,
    /// Where images are smaller than what is made of them.
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
    /// None where a step was not measured, or does not fit.
    pub(super) forecast: Option<Forecast>,
    pub(super) checkpoints: Disk,
    pub(super) settings: Vec<Setting>,
}

/// Who does what on the CPU.
#[derive(Debug, Serialize)]
pub(super) struct Threads {
    pub(super) decode: usize,
    /// None on a device that computes by itself.
    pub(super) compute: Option<usize>,
}

/// Bytes that a run takes. What is not measured follows from the settings.
#[derive(Debug, Serialize)]
pub(super) struct MemoryNeeds {
    /// Where samples lie, kept for the whole run: an estimate from their number.
    pub(super) index_bytes: u64,
    /// Of a batch as bytes in the host's memory, and how many of them there are.
    pub(super) slab_bytes: u64,
    pub(super) slabs: usize,
    /// Views on their way from the decoding threads to the batches.
    pub(super) spare_bytes: u64,
    /// The most that this process has had in memory while planning, mapped shards included.
    pub(super) host_peak_bytes: Option<u64>,
    /// What is free in the host's memory, when nothing of this is taken yet …
    pub(super) host_free_bytes: Option<u64>,
    /// … and in the device's; none on the CPU.
    pub(super) device_free_bytes: Option<u64>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    pub(super) loading: Loading,
    /// Loading with `--decode fast`, where that was tried.
    pub(super) loading_fast: Option<Loading>,
    /// None where the device has no room for it.
    pub(super) step: Option<Measured>,
    /// What makes a step need less memory, where the device has no room for it.
    pub(super) cures: Vec<String>,
    /// Steps of three sizes, with `--gpu`.
    pub(super) by_batch: Option<ByBatch>,
}

/// The memory of a step, measured for three sizes.
#[derive(Debug, Serialize)]
pub(super) struct ByBatch {
    pub(super) steps: Vec<Measured>,
    /// None where the steps were too few, or too small for their memory to show.
    pub(super) memory: Option<Memory>,
    /// The largest batch that fits into what is free, up to `most`.
    pub(super) largest_batch: Option<usize>,
    /// Far beyond what was measured it says nothing.
    pub(super) most: usize,
    /// The largest batch whose tensors CUDA can index; none on the CPU.
    pub(super) indexed: Option<usize>,
}
