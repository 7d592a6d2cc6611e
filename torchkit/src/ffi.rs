//! The functions of `cxx`.

use std::ffi::{CStr, c_char, c_int, c_void};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::failure::Failure;

/// A device by c10's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct RawDevice {
    pub(crate) kind: i32,
    pub(crate) index: i32,
}

/// A stream by c10's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct RawStream {
    pub(crate) id: i64,
    pub(crate) device: RawDevice,
}

/// A `c10::Event`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RawEvent(c_void);

/// The tensors of one update: lists of `count` pointers, and scalars.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RawUpdate {
    pub(crate) parameters: *const *mut C_tensor,
    pub(crate) gradients: *const *mut C_tensor,
    pub(crate) first: *const *mut C_tensor,
    pub(crate) second: *const *mut C_tensor,
    pub(crate) count: usize,
    pub(crate) lr: *mut C_tensor,
    pub(crate) scale: *mut C_tensor,
    pub(crate) skip: *mut C_tensor,
}

/// A batch norm over channels, with the running statistics of each group, or null.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RawBatchNorm {
    pub(crate) weight: *mut C_tensor,
    pub(crate) bias: *mut C_tensor,
    pub(crate) running_means: *const *mut C_tensor,
    pub(crate) running_vars: *const *mut C_tensor,
    pub(crate) groups: usize,
    pub(crate) momentum: f64,
    pub(crate) eps: f64,
}

/// Turns the code that a foreign function returned into a result.
#[expect(unsafe_code, reason = "a foreign string")]
pub(crate) fn check(code: c_int) -> Result<(), Failure> {
    // SAFETY: the message is this thread's own NUL-terminated string, which lives until the next failure on
    // it.
    failure_of(code, || unsafe { CStr::from_ptr(amdim_error()) })
}

/// Turns a code of `cxx/shim.h` into a result; `message` gives the text of a failure.
pub(crate) fn failure_of<'a>(code: c_int, message: impl FnOnce() -> &'a CStr) -> Result<(), Failure> {
    if code == 0 {
        return Ok(());
    }
    let failure = Failure::from_text(&message().to_string_lossy());
    Err(Failure { is_out_of_memory: code == 2 || failure.is_out_of_memory, ..failure })
}

#[expect(unsafe_code, reason = "declarations of foreign functions")]
unsafe extern "C" {
    fn amdim_error() -> *const c_char;

    pub(crate) fn amdim_built_against() -> *const c_char;
    pub(crate) fn amdim_build(out: *mut *const c_char) -> c_int;

    pub(crate) fn amdim_stream_current(device: RawDevice, out: *mut RawStream) -> c_int;
    pub(crate) fn amdim_stream_new(device: RawDevice, out: *mut RawStream) -> c_int;
    pub(crate) fn amdim_stream_make_current(stream: RawStream) -> c_int;
    pub(crate) fn amdim_stream_synchronize(stream: RawStream) -> c_int;

    pub(crate) fn amdim_event_new(device: RawDevice, timed: c_int, out: *mut *mut RawEvent) -> c_int;
    pub(crate) fn amdim_event_free(event: *mut RawEvent);
    pub(crate) fn amdim_event_record(event: *mut RawEvent, stream: RawStream) -> c_int;
    pub(crate) fn amdim_event_block(event: *mut RawEvent, stream: RawStream) -> c_int;
    pub(crate) fn amdim_event_query(event: *mut RawEvent, has_passed: *mut c_int) -> c_int;
    pub(crate) fn amdim_event_elapsed(
        start: *mut RawEvent,
        end: *mut RawEvent,
        milliseconds: *mut f64,
    ) -> c_int;

    pub(crate) fn amdim_pinned(bytes: i64, out: *mut *mut C_tensor) -> c_int;
    pub(crate) fn amdim_empty(
        device: RawDevice,
        sizes: *const i64,
        dimensions: usize,
        kind: c_int,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(crate) fn amdim_copy(to: *mut C_tensor, from: *mut C_tensor) -> c_int;
    pub(crate) fn amdim_peak_memory(device: RawDevice, out: *mut i64) -> c_int;
    pub(crate) fn amdim_reset_peak_memory(device: RawDevice) -> c_int;
    pub(crate) fn amdim_reserved_memory(device: RawDevice, out: *mut i64) -> c_int;
    pub(crate) fn amdim_reset_host_memory_peak() -> c_int;
    pub(crate) fn amdim_watch_host_memory() -> c_int;
    pub(crate) fn amdim_unwatch_host_memory() -> c_int;
    pub(crate) fn amdim_host_memory_peak(out: *mut i64) -> c_int;
    pub(crate) fn amdim_free_memory(device: RawDevice, out: *mut i64) -> c_int;

    pub(crate) fn amdim_chain(
        x: *mut C_tensor,
        weights: *const *mut C_tensor,
        count: usize,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(crate) fn amdim_reshaping(
        x: *mut C_tensor,
        w1: *mut C_tensor,
        w2: *mut C_tensor,
        stride: i64,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(crate) fn amdim_convolution_relu(
        x: *mut C_tensor,
        weight: *mut C_tensor,
        bias: *mut C_tensor,
        stride: i64,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(crate) fn amdim_head(
        x: *mut C_tensor,
        w1: *mut C_tensor,
        w2: *mut C_tensor,
        shortcut: *mut C_tensor,
        bias: *mut C_tensor,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(crate) fn amdim_pointwise(
        x: *mut C_tensor,
        weight: *mut C_tensor,
        out: *mut *mut C_tensor,
        x_for_others: *mut *mut C_tensor,
    ) -> c_int;
    pub(crate) fn amdim_norm_relu(
        x: *mut C_tensor,
        skip: *mut C_tensor,
        norm: *const RawBatchNorm,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(crate) fn amdim_normalize_by(device_type: c_int, function: *const c_void);
    pub(crate) fn amdim_fuse_convolutions(on: c_int);
    pub(crate) fn amdim_clipped_scores(
        contexts: *mut C_tensor,
        targets: *mut C_tensor,
        clip: f64,
        first: i64,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(crate) fn amdim_log_sum_exp(
        queries: *mut C_tensor,
        keys: *mut C_tensor,
        scale: f64,
        excluded: *mut C_tensor,
        sums: *mut *mut C_tensor,
        largest: *mut *mut C_tensor,
    ) -> c_int;
    pub(crate) fn amdim_multiply_by(device_type: c_int, function: *const c_void);
    pub(crate) fn amdim_refused_products() -> i64;

    pub(crate) fn amdim_norm(gradients: *const *mut C_tensor, count: usize, out: *mut *mut C_tensor)
    -> c_int;
    pub(crate) fn amdim_all_finite(
        tensors: *const *mut C_tensor,
        count: usize,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(crate) fn amdim_adam(
        update: *const RawUpdate,
        step: *mut C_tensor,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        decoupled: c_int,
    ) -> c_int;
    pub(crate) fn amdim_sgd(
        update: *const RawUpdate,
        momentum: f64,
        nesterov: c_int,
        weight_decay: f64,
    ) -> c_int;
    pub(crate) fn amdim_lars(update: *const RawUpdate, momentum: f64, weight_decay: f64, eta: f64) -> c_int;
    pub(crate) fn amdim_forget_gradients(parameters: *const *mut C_tensor, count: usize) -> c_int;

    pub(crate) fn amdim_autocast(device_type: c_int, on: c_int, kind: c_int) -> c_int;
    pub(crate) fn amdim_autocast_enter();
    pub(crate) fn amdim_autocast_leave();
    pub(crate) fn amdim_tf32(on: c_int) -> c_int;
    pub(crate) fn amdim_benchmark_convolutions(on: c_int) -> c_int;

    pub(crate) fn amdim_profile_start(cuda: c_int) -> c_int;
    pub(crate) fn amdim_profile_stop(
        cuda: c_int,
        to: *mut c_void,
        each: unsafe extern "C" fn(*mut c_void, *const c_char, i64, i64),
    ) -> c_int;
}

/// Returns the pointer behind a tensor, valid while the tensor is borrowed.
pub(crate) fn raw(tensor: &Tensor) -> *mut C_tensor {
    tensor.as_ptr().cast_mut()
}

/// Takes over the tensor that `make` writes to its argument.
#[expect(unsafe_code, reason = "a tensor from its pointer")]
pub(crate) fn made(make: impl FnOnce(*mut *mut C_tensor) -> c_int) -> Result<Tensor, Failure> {
    let mut pointer = std::ptr::null_mut();
    check(make(&raw mut pointer))?;
    // SAFETY: on success the function has set the pointer to a tensor made by `new`, which nobody else owns.
    Ok(unsafe { Tensor::from_ptr(pointer) })
}

/// Returns the pointers behind tensors, valid while the tensors are borrowed.
pub(crate) fn raws(tensors: &[&Tensor]) -> Vec<*mut C_tensor> {
    tensors.iter().map(|tensor| raw(tensor)).collect()
}
