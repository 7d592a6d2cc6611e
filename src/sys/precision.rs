//! In what precision libtorch computes.

#![expect(unsafe_code, reason = "foreign calls")]

use tch::{Device, Kind};

use super::{
    ffi::{self, Failure, check},
    memory::number,
};

/// While it lives, matrix products and convolutions of this thread are computed in bf16, the rest as torch's autocast
/// sees fit.
#[derive(Debug)]
pub struct Autocast {
    kind: i32,
    /// Belongs to its thread.
    _here: std::marker::PhantomData<*const ()>,
}

impl Autocast {
    /// Begins with bf16 on this device.
    pub fn bf16(device: Device) -> Result<Self, Failure> {
        let kind = kind(device);
        // SAFETY: sets this thread's flags.
        unsafe {
            check(ffi::amdim_autocast(kind, 1, number(Kind::BFloat16)))?;
            ffi::amdim_autocast_enter();
        }
        Ok(Self { kind, _here: std::marker::PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: undoes what `bf16` did to this thread's flags: values of this type do not leave their thread.
        let undone = unsafe {
            ffi::amdim_autocast_leave();
            check(ffi::amdim_autocast(self.kind, 0, number(Kind::BFloat16)))
        };
        debug_assert!(undone.is_ok(), "a flag can be set that could be set before");
    }
}

/// Whether f32 products may be computed from 19 bits of their factors, where the device can (TF32).
pub fn allow_tf32(on: bool) -> Result<(), Failure> {
    // SAFETY: sets libtorch's global flags.
    check(unsafe { ffi::amdim_tf32(on.into()) })
}

/// Whether cuDNN tries its algorithms for a convolution of a new shape and keeps the fastest.
pub fn benchmark_convolutions(on: bool) -> Result<(), Failure> {
    // SAFETY: sets a global flag of libtorch.
    check(unsafe { ffi::amdim_benchmark_convolutions(on.into()) })
}

/// c10's number of a device's kind.
fn kind(device: Device) -> i32 {
    i32::from(matches!(device, Device::Cuda(_)))
}
