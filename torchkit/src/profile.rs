//! What a device spends its time on.

#![expect(unsafe_code, reason = "foreign calls")]

use std::{
    ffi::{CStr, c_char, c_void},
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use tch::Device;

use crate::{
    failure::Failure,
    ffi::{self, check},
};

/// A kernel's part of the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// As libtorch or the device's libraries call it.
    pub name: String,
    /// How often it ran.
    pub count: u64,
    /// How long in all. On the CPU operations stand for kernels, those that they call included.
    pub time: Duration,
}

/// Does work, and gives its kernels, those that took longest first. The work is over when `work` returns: it waits for the
/// device itself.
pub fn profile<T>(device: Device, work: impl FnOnce() -> T) -> Result<(T, Vec<Kernel>), Failure> {
    let cuda = i32::from(device.is_cuda());
    // SAFETY: starts libtorch's profiler of this thread.
    check(unsafe { ffi::amdim_profile_start(cuda) })?;
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    let mut kernels = Vec::<Kernel>::new();
    // SAFETY: `take` is called with the list, which lives, before this call returns.
    check(unsafe { ffi::amdim_profile_stop(cuda, (&raw mut kernels).cast(), take) })?;
    let done = done.unwrap_or_else(|panic| panic::resume_unwind(panic));
    kernels.sort_by_key(|kernel| std::cmp::Reverse(kernel.time));
    Ok((done, kernels))
}

/// Adds a kernel to the list that `to` points at.
unsafe extern "C" fn take(to: *mut c_void, name: *const c_char, count: i64, nanoseconds: i64) {
    // SAFETY: `profile` passes its list, which nobody else uses meanwhile, and the profiler NUL-terminated names.
    let (list, name) = unsafe { (&mut *to.cast::<Vec<Kernel>>(), CStr::from_ptr(name)) };
    list.push(Kernel {
        name: name.to_string_lossy().into_owned(),
        count: count as u64,
        time: Duration::from_nanos(nanoseconds.max(0).cast_unsigned()),
    });
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    #[test]
    fn what_took_long_is_named() {
        let x = Tensor::ones([300, 300], (Kind::Float, Device::Cpu));
        let (sum, kernels) = profile(Device::Cpu, || {
            let product = x.matmul(&x);
            x.matmul(&product).sum(Kind::Double).double_value(&[])
        })
        .unwrap();
        assert!((sum - 300f64.powi(4)).abs() < 1.0);
        let product = kernels.iter().find(|kernel| kernel.name == "aten::mm").expect("two products");
        assert!(product.count == 2 && product.time > Duration::ZERO, "{product:?}");
        assert!(kernels.windows(2).all(|pair| pair[0].time >= pair[1].time));
    }
}
