//! The kernels that a device spends its time on.

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

/// The time spent in one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The kernel's name, as libtorch or the device's libraries give it.
    pub name: String,
    /// The number of its runs.
    pub count: u64,
    /// The total time. On the CPU this is the time of an operation, including the operations that it calls.
    pub time: Duration,
}

/// Profiles `work` and returns its result with its kernels, longest total time first. `work` has to wait for
/// the device before it returns.
///
/// # Errors
/// libtorch's profiler cannot start or stop.
pub fn profile<T>(device: Device, work: impl FnOnce() -> T) -> Result<(T, Vec<Kernel>), Failure> {
    let cuda = i32::from(device.is_cuda());
    // SAFETY: starts libtorch's profiler on this thread.
    check(unsafe { ffi::amdim_profile_start(cuda) })?;
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    let mut kernels = Vec::<Kernel>::new();
    // SAFETY: `take` is only called before this call returns, with the list, which is alive until then.
    check(unsafe { ffi::amdim_profile_stop(cuda, (&raw mut kernels).cast(), take) })?;
    let done = done.unwrap_or_else(|panic| panic::resume_unwind(panic));
    kernels.sort_by_key(|kernel| std::cmp::Reverse(kernel.time));
    Ok((done, kernels))
}

/// Appends a kernel to the list that `to` points at.
unsafe extern "C" fn take(to: *mut c_void, name: *const c_char, count: i64, nanoseconds: i64) {
    // SAFETY: `profile` passes its list, which nobody else uses meanwhile; the profiler passes NUL-terminated
    // names.
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
    fn the_operations_that_took_longest_are_named() {
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
