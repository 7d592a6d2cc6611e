//! The library of the functions that need libtorch's CUDA half. It is embedded in the program, and loaded where
//! there is CUDA.

#![expect(unsafe_code, reason = "foreign calls")]

use std::{
    ffi::{CStr, CString, c_void},
    fs::File,
    io::{self, Write},
    os::fd::{AsRawFd, FromRawFd},
    ptr::NonNull,
    sync::OnceLock,
};

/// The library made of `cxx/graph.cpp`, `cxx/cublas_lt.cpp`, `cxx/cuda_norms.cpp` and `cxx/nccl.cpp`; empty if it was built without CUDA's headers.
static LIBRARY: &[u8] = include_bytes!(env!("TORCHKIT_CUDA"));

/// The handle of the library, which stays loaded.
#[derive(Debug)]
struct Handle(NonNull<c_void>);

// SAFETY: the handle is only passed to `dlsym`, which any thread may call.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// Returns a function of the library, loading it at the first call. libtorch's CUDA half must be loaded.
///
/// # Errors
///
/// If the library cannot be loaded, or lacks the function.
pub(crate) fn function(name: &CStr) -> Result<NonNull<c_void>, String> {
    static LOADED: OnceLock<Result<Handle, String>> = OnceLock::new();
    let Handle(handle) = LOADED.get_or_init(load).as_ref().map_err(Clone::clone)?;
    // SAFETY: the handle is that of a library that is never unloaded, and the name is NUL-terminated.
    NonNull::new(unsafe { libc::dlsym(handle.as_ptr(), name.as_ptr()) })
        .ok_or_else(|| format!("the library for CUDA lacks {name:?}"))
}

fn load() -> Result<Handle, String> {
    if LIBRARY.is_empty() {
        return Err("this program was built without CUDA's headers".to_owned());
    }
    open(LIBRARY).map(Handle).map_err(|error| format!("cannot load the library for CUDA: {error}"))
}

/// Loads a library that is embedded in the program, by way of a file in memory.
fn open(library: &[u8]) -> io::Result<NonNull<c_void>> {
    // SAFETY: the name is a NUL-terminated constant; the descriptor is new, and the file becomes its only
    // owner.
    let mut file = unsafe {
        match libc::memfd_create(c"amdim_cuda".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => return Err(io::Error::last_os_error()),
            descriptor => File::from_raw_fd(descriptor),
        }
    };
    file.write_all(library)?;
    open_library(&format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(io::Error::other)
}

/// Loads a library for the rest of the process.
///
/// # Errors
/// The loader's message.
pub(crate) fn open_library(name: &str) -> Result<NonNull<c_void>, String> {
    let terminated = CString::new(name).expect("library names contain no NUL");
    // SAFETY: the name is NUL-terminated. The initializers of these libraries only register kernels, and none
    // is unloaded.
    let handle = unsafe { libc::dlopen(terminated.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    NonNull::new(handle).ok_or_else(|| {
        // SAFETY: dlerror returns this thread's message of the failure above, NUL-terminated, or null.
        let message = unsafe {
            let message = libc::dlerror();
            (!message.is_null()).then(|| CStr::from_ptr(message).to_string_lossy().into_owned())
        };
        message.unwrap_or_else(|| format!("cannot load {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_library_is_a_library() {
        // A user's own libtorch may come without the headers that the library needs.
        if LIBRARY.is_empty() {
            return;
        }
        // Without libtorch's CUDA half, loading fails because of missing dependencies, not because the file
        // is invalid.
        if let Err(error) = open(LIBRARY) {
            let error = error.to_string();
            assert!(error.contains("undefined symbol") && error.contains("cuda"), "{error}");
        }
    }
}
