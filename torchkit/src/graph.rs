//! Work that a CUDA device records once, and is given again as a whole ("CUDA graph").

#![expect(unsafe_code, reason = "foreign calls")]

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    fmt,
    fs::File,
    io::{self, Write},
    os::fd::{AsRawFd, FromRawFd},
    panic::{self, AssertUnwindSafe},
    ptr::NonNull,
    str::FromStr,
    sync::OnceLock,
};

use anyhow::{Result, anyhow};
use tch::{Device, Kind, Tensor};

use crate::{caught::caught, failure::Failure, ffi::failure_of};

/// Whether a step is queued as one graph: `auto`, `on` or `off`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GraphChoice {
    /// Where the device has graphs; if a step cannot be recorded, it is said and done without.
    #[default]
    Auto,
    /// The same, and said also where the device has none.
    On,
    /// Never.
    Off,
}

impl FromStr for GraphChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(format!("`{name}` is neither `auto`, `on` nor `off`")),
        }
    }
}

impl fmt::Display for GraphChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// `cxx/graph.cpp` as a library; empty where it was built without CUDA's headers.
static LIBRARY: &[u8] = include_bytes!(env!("TORCHKIT_GRAPH"));

/// The library's functions. It stays loaded.
#[derive(Debug)]
struct Functions {
    error: unsafe extern "C" fn() -> *const c_char,
    begin: unsafe extern "C" fn(*mut *mut c_void) -> c_int,
    end: unsafe extern "C" fn(*mut c_void) -> c_int,
    replay: unsafe extern "C" fn(*mut c_void) -> c_int,
    free: unsafe extern "C" fn(*mut c_void),
}

/// Recorded work. It holds addresses, not tensors: those that it uses have to be kept by whoever replays it.
#[derive(Debug)]
pub struct Graph {
    graph: NonNull<c_void>,
    functions: &'static Functions,
}

impl Graph {
    /// Records what `work` queues on this thread's current stream, which must not be the device's default one. It is not done
    /// yet. Whatever `work` does beside, it does now and never again.
    ///
    /// # Errors
    ///
    /// Where there are no graphs, and where `work` does what cannot be recorded, such as to wait for the device. `work` may have
    /// run, but nothing that it queued.
    pub fn record<T>(device: Device, work: impl FnOnce() -> Result<T>) -> Result<(Self, T)> {
        let functions = functions(device)?;
        let mut graph = std::ptr::null_mut();
        // SAFETY: the pointer is written on success, to a graph that nobody else owns.
        functions.check(unsafe { (functions.begin)(&raw mut graph) })?;
        let graph = NonNull::new(graph).ok_or_else(|| anyhow!("no graph was begun"))?;
        let graph = Self { graph, functions };
        let done = panic::catch_unwind(AssertUnwindSafe(|| caught(work)));
        // SAFETY: the graph lives until `drop`. The recording ends whatever became of the work, or the stream would stay lost.
        let ended = functions.check(unsafe { (functions.end)(graph.graph.as_ptr()) });
        let done = done.unwrap_or_else(|panic| panic::resume_unwind(panic))??;
        ended?;
        Ok((graph, done))
    }

    /// Queues the work on this thread's current stream. Its tensors are those that there were when it was recorded, at their
    /// addresses; its random numbers follow from the seed as it is now.
    pub fn replay(&self) -> Result<(), Failure> {
        // SAFETY: the graph lives until `drop`; its memory is its own, and that of tensors that whoever recorded it keeps.
        self.functions.check(unsafe { (self.functions.replay)(self.graph.as_ptr()) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made by `begin`, and given back once.
        unsafe { (self.functions.free)(self.graph.as_ptr()) }
    }
}

impl Functions {
    fn check(&self, code: c_int) -> Result<(), Failure> {
        // SAFETY: the message is the library's own string of this thread, that lives until its next failure.
        failure_of(code, || unsafe { CStr::from_ptr((self.error)()) })
    }
}

/// Tries to record a wait for the device, which cannot be recorded, and gives the error: after it the device has to be as it was.
/// For checks of that.
pub fn record_in_vain(device: Device) -> Option<String> {
    let wait = || Ok(Tensor::zeros([1], (Kind::Float, device)).double_value(&[0]));
    Graph::record(device, wait).err().map(|error| error.to_string())
}

/// The library's functions, loaded at the first call; why there are none otherwise.
fn functions(device: Device) -> Result<&'static Functions, Failure> {
    static FUNCTIONS: OnceLock<Result<Functions, String>> = OnceLock::new();
    if !device.is_cuda() {
        return Err(Failure::new("only CUDA devices have graphs"));
    }
    FUNCTIONS.get_or_init(load).as_ref().map_err(Failure::new)
}

fn load() -> Result<Functions, String> {
    if LIBRARY.is_empty() {
        return Err("this program was built without CUDA's headers".to_owned());
    }
    let handle =
        open(LIBRARY).map_err(|error| format!("the library of CUDA graphs does not load: {error}"))?;
    let function = |name: &CStr| -> Result<NonNull<c_void>, String> {
        // SAFETY: the handle is of a library that is never unloaded, the name a NUL-terminated constant.
        NonNull::new(unsafe { libc::dlsym(handle.as_ptr(), name.as_ptr()) })
            .ok_or_else(|| format!("the library of CUDA graphs lacks {name:?}"))
    };
    // SAFETY: the types are those that `graph.cpp` defines these functions with.
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

/// Loads a library from memory: it travels inside of the program.
fn open(library: &[u8]) -> io::Result<NonNull<c_void>> {
    // SAFETY: the name is a NUL-terminated constant; the descriptor is new, and the file's own.
    let mut file = unsafe {
        match libc::memfd_create(c"amdim_graph".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => return Err(io::Error::last_os_error()),
            descriptor => File::from_raw_fd(descriptor),
        }
    };
    file.write_all(library)?;
    crate::device::open_library(&format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_graphs_on_the_cpu() {
        let error = Graph::record(Device::Cpu, || Ok(())).unwrap_err();
        assert!(error.to_string().contains("only CUDA"), "{error}");
    }

    #[test]
    fn the_library_is_a_library() {
        // A libtorch of one's own may come without the headers that it is built with.
        if LIBRARY.is_empty() {
            return;
        }
        // Without libtorch's CUDA half it does not load: what it names is missing, not the file.
        if let Err(error) = open(LIBRARY) {
            let error = error.to_string();
            assert!(error.contains("undefined symbol") && error.contains("cuda"), "{error}");
        }
    }
}
