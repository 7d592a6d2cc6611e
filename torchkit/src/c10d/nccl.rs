//! Groups that exchange tensors of CUDA devices by NCCL.

#![expect(unsafe_code, reason = "foreign calls")]

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr::NonNull,
    time::Duration,
};

use super::{
    ffi::{RawBackend, RawStore},
    group::Group,
    store::Store,
    within::milliseconds,
};
use crate::{cuda_library::function, failure::Failure, ffi::failure_of};

type New = unsafe extern "C" fn(*mut RawStore, c_int, c_int, i64, *mut *mut RawBackend) -> c_int;

impl Group {
    /// Connects `size` ranks that exchange tensors of CPUs by gloo, as [`Self::gloo`], and those of their current CUDA
    /// devices by NCCL, which connects at the first collective of CUDA tensors.
    ///
    /// NCCL does not notice peers that are lost: whoever does calls [`Self::abort`].
    ///
    /// # Errors
    /// Those of [`Self::gloo`]; or the program was built without NCCL's header, or the device is not available.
    pub fn nccl(store: &Store, rank: usize, size: usize, timeout: Duration) -> Result<Self, Failure> {
        let missing = |why: String| Failure::new(format!("no NCCL: {why}"));
        let [new, error] = [c"amdim_nccl_new", c"amdim_graph_error"].map(function);
        // SAFETY: `nccl.cpp` and `graph.cpp` define the functions with these types.
        let (new, error) = unsafe {
            (
                std::mem::transmute::<NonNull<c_void>, New>(new.map_err(missing)?),
                std::mem::transmute::<NonNull<c_void>, unsafe extern "C" fn() -> *const c_char>(
                    error.map_err(missing)?,
                ),
            )
        };
        let mut backend = std::ptr::null_mut();
        // SAFETY: the store is borrowed until the call returns; the backend is written only on success.
        let code = unsafe {
            let (rank, size, timeout) = (rank as c_int, size as c_int, milliseconds(timeout));
            new(store.handle().raw(), rank, size, timeout, &raw mut backend)
        };
        // SAFETY: the message is the library's own string of this thread, which lives until its next failure.
        failure_of(code, || unsafe { CStr::from_ptr(error()) })?;
        Self::with_backends(store, rank, size, timeout, NonNull::new(backend))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_cuda_a_group_of_nccl_is_an_error_that_says_so() {
        let made = Group::nccl(&Store::in_memory(), 0, 1, Duration::from_secs(60));
        let message = made.unwrap_err().message;
        assert!(message.contains("no NCCL") && !message.contains('\n'), "{message}");
    }
}
