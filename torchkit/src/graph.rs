//! CUDA graphs: work that a device records once and replays as a whole.

#![expect(unsafe_code, reason = "foreign calls")]

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    panic::{self, AssertUnwindSafe},
    ptr::NonNull,
    sync::OnceLock,
};

use anyhow::{Result, anyhow};
use tch::{Device, Kind, Tensor};

use crate::{caught::caught, cuda_library::function, failure::Failure, ffi::failure_of};

/// The functions of `cxx/graph.cpp`.
#[derive(Debug)]
struct Functions {
    error: unsafe extern "C" fn() -> *const c_char,
    begin: unsafe extern "C" fn(*mut *mut c_void) -> c_int,
    end: unsafe extern "C" fn(*mut c_void) -> c_int,
    replay: unsafe extern "C" fn(*mut c_void) -> c_int,
    free: unsafe extern "C" fn(*mut c_void),
}

/// Recorded work. It holds addresses, not tensors: its user keeps the tensors alive for as long as it is
/// replayed.
#[derive(Debug)]
pub struct Graph {
    graph: NonNull<c_void>,
    functions: &'static Functions,
}

impl Graph {
    /// Records what `work` queues on this thread's current stream, which must not be the device's default
    /// stream. The recorded operations do not run yet; everything else that `work` does happens now, once.
    ///
    /// # Errors
    /// The device has no graphs, or `work` does something that cannot be recorded, such as waiting for the
    /// device. `work` may have run then, but none of the operations that it queued.
    pub fn record<T>(device: Device, work: impl FnOnce() -> Result<T>) -> Result<(Self, T)> {
        let functions = functions(device)?;
        let mut graph = std::ptr::null_mut();
        // SAFETY: on success the pointer is set to a graph that nobody else owns.
        functions.check(unsafe { (functions.begin)(&raw mut graph) })?;
        let graph = NonNull::new(graph).ok_or_else(|| anyhow!("libtorch began no graph"))?;
        let graph = Self { graph, functions };
        let done = panic::catch_unwind(AssertUnwindSafe(|| caught(work)));
        // SAFETY: the graph lives until `drop`. The recording has to end even if the work failed, or the
        // stream stays lost.
        let ended = functions.check(unsafe { (functions.end)(graph.graph.as_ptr()) });
        let done = done.unwrap_or_else(|panic| panic::resume_unwind(panic))??;
        ended?;
        Ok((graph, done))
    }

    /// Queues the recorded work on this thread's current stream. It reads and writes the tensors of the
    /// recording, at their addresses; its random numbers follow from the present seed.
    ///
    /// # Errors
    /// CUDA's failure to queue it.
    pub fn replay(&self) -> Result<(), Failure> {
        // SAFETY: the graph lives until `drop`; it owns its memory, and whoever recorded it keeps the other
        // tensors.
        self.functions.check(unsafe { (self.functions.replay)(self.graph.as_ptr()) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the graph was made by `begin` and is freed once.
        unsafe { (self.functions.free)(self.graph.as_ptr()) }
    }
}

impl Functions {
    fn check(&self, code: c_int) -> Result<(), Failure> {
        // SAFETY: the message is the library's own string of this thread, which lives until its next failure.
        failure_of(code, || unsafe { CStr::from_ptr((self.error)()) })
    }
}

/// Tries to record a wait for the device, which must fail, and returns the error's text. A self-test: the
/// device has to be usable afterwards.
pub fn fail_recording(device: Device) -> Option<String> {
    let wait = || Ok(Tensor::zeros([1], (Kind::Float, device)).double_value(&[0]));
    Graph::record(device, wait).err().map(|error| error.to_string())
}

/// Returns the library's functions, loading it at the first call.
///
/// # Errors
/// The device is not CUDA, or the library cannot be loaded.
fn functions(device: Device) -> Result<&'static Functions, Failure> {
    static FUNCTIONS: OnceLock<Result<Functions, String>> = OnceLock::new();
    if !device.is_cuda() {
        return Err(Failure::new("only CUDA devices have graphs"));
    }
    FUNCTIONS.get_or_init(load).as_ref().map_err(Failure::new)
}

fn load() -> Result<Functions, String> {
    // SAFETY: `graph.cpp` defines the functions with these types.
    unsafe {
        Ok(Functions {
            error: std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn() -> *const c_char>(function(
                c"amdim_graph_error",
            )?),
            begin: std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(*mut *mut c_void) -> c_int>(
                function(c"amdim_graph_begin")?,
            ),
            end: std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(*mut c_void) -> c_int>(
                function(c"amdim_graph_end")?,
            ),
            replay: std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(*mut c_void) -> c_int>(
                function(c"amdim_graph_replay")?,
            ),
            free: std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn(*mut c_void)>(function(
                c"amdim_graph_free",
            )?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_has_no_graphs() {
        let error = Graph::record(Device::Cpu, || Ok(())).unwrap_err();
        assert!(error.to_string().contains("only CUDA"), "{error}");
    }
}
