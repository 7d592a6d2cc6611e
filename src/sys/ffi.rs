//! The functions of `cxx/shim.cpp`, and those of them that are made safe right here.

use std::ffi::{CStr, c_char, c_int, c_void};

use tch::Tensor;
use torch_sys::C_tensor;

/// A call into libtorch that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What libtorch says.
    pub message: String,
    /// Whether it was for want of the device's memory.
    pub is_out_of_memory: bool,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message.lines().next().unwrap_or("libtorch failed"))
    }
}

impl std::error::Error for Failure {}

/// A device by c10's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct RawDevice {
    pub(super) kind: i32,
    pub(super) index: i32,
}

/// A stream by c10's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct RawStream {
    pub(super) id: i64,
    pub(super) device: RawDevice,
}

/// A `c10::Event`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct RawEvent(c_void);

/// Turns what a function returned into a result.
#[expect(unsafe_code, reason = "a foreign string")]
pub(super) fn check(code: c_int) -> Result<(), Failure> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the message is this thread's own string, NUL-terminated, that lives until the next failure on it.
    let message = unsafe { CStr::from_ptr(amdim_error()) }.to_string_lossy().into_owned();
    Err(Failure { message, is_out_of_memory: code == 2 })
}

#[expect(unsafe_code, reason = "declarations of foreign functions")]
unsafe extern "C" {
    fn amdim_error() -> *const c_char;

    pub(super) fn amdim_stream_current(device: RawDevice, out: *mut RawStream) -> c_int;
    pub(super) fn amdim_stream_new(device: RawDevice, out: *mut RawStream) -> c_int;
    pub(super) fn amdim_stream_make_current(stream: RawStream) -> c_int;
    pub(super) fn amdim_stream_synchronize(stream: RawStream) -> c_int;

    pub(super) fn amdim_event_new(device: RawDevice, timed: c_int, out: *mut *mut RawEvent) -> c_int;
    pub(super) fn amdim_event_free(event: *mut RawEvent);
    pub(super) fn amdim_event_record(event: *mut RawEvent, stream: RawStream) -> c_int;
    pub(super) fn amdim_event_block(event: *mut RawEvent, stream: RawStream) -> c_int;
    pub(super) fn amdim_event_query(event: *mut RawEvent, has_passed: *mut c_int) -> c_int;
    pub(super) fn amdim_event_elapsed(
        start: *mut RawEvent,
        end: *mut RawEvent,
        milliseconds: *mut f64,
    ) -> c_int;

    pub(super) fn amdim_pinned(bytes: i64, out: *mut *mut C_tensor) -> c_int;
    pub(super) fn amdim_empty(
        device: RawDevice,
        sizes: *const i64,
        dimensions: usize,
        kind: c_int,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(super) fn amdim_copy(to: *mut C_tensor, from: *mut C_tensor) -> c_int;
    pub(super) fn amdim_peak_memory(device: RawDevice, out: *mut i64) -> c_int;

    fn amdim_norm(gradients: *const *mut C_tensor, count: usize, out: *mut *mut C_tensor) -> c_int;
    fn amdim_adam(
        parameters: *const *mut C_tensor,
        gradients: *const *mut C_tensor,
        means: *const *mut C_tensor,
        squares: *const *mut C_tensor,
        count: usize,
        step: *mut C_tensor,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        scale: *mut C_tensor,
        skip: *mut C_tensor,
    ) -> c_int;

    fn amdim_forget_gradients(parameters: *const *mut C_tensor, count: usize) -> c_int;

    pub(super) fn amdim_autocast(device_type: c_int, on: c_int, kind: c_int) -> c_int;
    pub(super) fn amdim_autocast_enter();
    pub(super) fn amdim_autocast_leave();
    pub(super) fn amdim_tf32(on: c_int) -> c_int;
    pub(super) fn amdim_benchmark_convolutions(on: c_int) -> c_int;
}

/// The pointer behind a tensor, to be used while the tensor is borrowed.
pub(super) fn raw(tensor: &Tensor) -> *mut C_tensor {
    tensor.as_ptr().cast_mut()
}

/// A tensor that a function has made.
#[expect(unsafe_code, reason = "a tensor from its pointer")]
pub(super) fn made(make: impl FnOnce(*mut *mut C_tensor) -> c_int) -> Result<Tensor, Failure> {
    let mut pointer = std::ptr::null_mut();
    check(make(&raw mut pointer))?;
    // SAFETY: a function that succeeds has set the pointer to a tensor made by `new`, which nobody else owns.
    Ok(unsafe { Tensor::from_ptr(pointer) })
}

fn raws(tensors: &[&Tensor]) -> Vec<*mut C_tensor> {
    tensors.iter().map(|tensor| raw(tensor)).collect()
}

/// The 2-norm of all gradients together: a scalar on their device, which is not waited for.
#[expect(unsafe_code, reason = "a foreign call")]
pub(crate) fn gradient_norm(gradients: &[&Tensor]) -> Result<Tensor, Failure> {
    let gradients = raws(gradients);
    // SAFETY: the pointers are of tensors that are borrowed until the call returns; `out` is written on success alone.
    made(|out| unsafe { amdim_norm(gradients.as_ptr(), gradients.len(), out) })
}

/// The tensors of one update, one of each for every parameter.
#[derive(Debug, Default)]
pub(crate) struct AdamTensors<'a> {
    pub(crate) parameters: Vec<&'a Tensor>,
    pub(crate) gradients: Vec<&'a Tensor>,
    pub(crate) means: Vec<&'a Tensor>,
    pub(crate) squares: Vec<&'a Tensor>,
}

/// What the host says of an update.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamSettings {
    pub(crate) lr: f64,
    pub(crate) betas: [f64; 2],
    pub(crate) weight_decay: f64,
    pub(crate) eps: f64,
}

/// Scalars of f32 on the parameters' device that steer an update, so that the host need not know them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamScalars<'a> {
    /// Updates so far; counted by the update.
    pub(crate) step: &'a Tensor,
    /// What gradients are divided by.
    pub(crate) scale: &'a Tensor,
    /// Where it is 1 instead of 0, nothing changes.
    pub(crate) skip: &'a Tensor,
}

/// One update of Adam (Kingma, Ba 2015) with L2 weight decay, of all parameters at once, queued on the device.
///
/// # Panics
/// If the lists differ in length, or a moment's strides from its parameter's: libtorch would compute nonsense.
#[expect(unsafe_code, reason = "a foreign call")]
pub(crate) fn fused_adam(
    tensors: &AdamTensors,
    scalars: AdamScalars,
    settings: AdamSettings,
) -> Result<(), Failure> {
    let AdamTensors { parameters, gradients, means, squares } = tensors;
    let count = parameters.len();
    let others = [gradients, means, squares];
    assert!(others.iter().all(|list| list.len() == count), "one of each for every parameter");
    for (parameter, moments) in parameters.iter().zip(means.iter().zip(squares)) {
        let strides = parameter.stride();
        assert!(
            strides == moments.0.stride() && strides == moments.1.stride(),
            "moments lie as parameters do"
        );
    }
    if count == 0 {
        return Ok(());
    }
    let parameters = raws(parameters);
    let [gradients, means, squares] = others.map(|list| raws(list));
    let AdamScalars { step, scale, skip } = scalars;
    let AdamSettings { lr, betas: [beta1, beta2], weight_decay, eps } = settings;
    // SAFETY: each list has `count` pointers, of tensors that are borrowed until the call returns.
    check(unsafe {
        amdim_adam(
            parameters.as_ptr(),
            gradients.as_ptr(),
            means.as_ptr(),
            squares.as_ptr(),
            count,
            raw(step),
            lr,
            beta1,
            beta2,
            weight_decay,
            eps,
            raw(scale),
            raw(skip),
        )
    })
}

/// Drops the gradients of all these parameters.
#[expect(unsafe_code, reason = "a foreign call")]
pub(crate) fn forget_gradients(parameters: &[&Tensor]) -> Result<(), Failure> {
    let parameters = raws(parameters);
    // SAFETY: the pointers are of tensors that are borrowed until the call returns.
    check(unsafe { amdim_forget_gradients(parameters.as_ptr(), parameters.len()) })
}
