//! Pinned host memory, copies that do not wait, and figures of the memory in use.

#![expect(unsafe_code, reason = "foreign calls, and a tensor's bytes")]

use std::{fs, marker::PhantomData};

use tch::{Kind, Tensor};

use crate::{
    failure::Failure,
    ffi::{self, RawDevice, check, made, raw},
    stream::Accelerator,
};

/// c10's device type of the CPU.
const CPU: i32 = 0;

/// Bytes of the host at a fixed address; pinned if there is a device that copies from them.
#[derive(Debug)]
pub struct Pinned {
    tensor: Tensor,
    bytes: usize,
}

impl Pinned {
    /// Allocates `bytes` bytes, all zero.
    ///
    /// # Errors
    /// The system does not pin so much memory.
    pub fn new(bytes: usize, of: Option<Accelerator>) -> Result<Self, Failure> {
        let mut tensor = if of.is_some_and(Accelerator::has_pinned_memory) {
            // SAFETY: `out` is written only on success, to a new tensor.
            made(|out| unsafe { ffi::amdim_pinned(bytes as i64, out) })?
        } else {
            Tensor::empty([bytes as i64], (Kind::Uint8, tch::Device::Cpu))
        };
        let _ = tensor.fill_(0);
        Ok(Self { tensor, bytes })
    }

    /// Returns the first `bytes` bytes as a uint8 tensor (bytes) that shares the memory, for copies from or
    /// to a device. Do not use the slice and the tensor at the same time.
    pub fn tensor(&self, bytes: usize) -> Tensor {
        self.tensor.narrow(0, 0, bytes as i64)
    }
}

impl AsRef<[u8]> for Pinned {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the tensor is `self.bytes` contiguous, initialized bytes on the host, and lives as long as
        // `self`.
        unsafe { std::slice::from_raw_parts(self.tensor.data_ptr().cast(), self.bytes) }
    }
}

impl AsMut<[u8]> for Pinned {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `as_ref`. The feed's events make sure that no device still copies from these bytes;
        // writing them meanwhile would give a wrong batch, but the device holds no Rust reference.
        unsafe { std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast(), self.bytes) }
    }
}

/// Queues a copy of `from` into `to`, of the same shape, on this thread's current stream, and does not wait
/// for it.
///
/// # Errors
/// The shapes differ, or the device fails.
pub fn copy(to: &Tensor, from: &Tensor) -> Result<(), Failure> {
    // SAFETY: both tensors are borrowed until the call returns. c10 keeps freed pinned memory until copies
    // from it are done; the caller keeps everything else.
    check(unsafe { ffi::amdim_copy(raw(to), raw(from)) })
}

/// Allocates an uninitialized tensor of this shape on the accelerator, or on the CPU.
///
/// # Errors
/// The device lacks memory.
pub fn empty(shape: &[i64], kind: Kind, of: Option<Accelerator>) -> Result<Tensor, Failure> {
    let device = of.map_or(RawDevice { kind: CPU, index: -1 }, Accelerator::raw);
    // SAFETY: the pointer is that of `shape.len()` sizes; `out` is written only on success, to a new tensor.
    made(|out| unsafe { ffi::amdim_empty(device, shape.as_ptr(), shape.len(), number(kind), out) })
}

/// Returns c10's number of a scalar type.
///
/// # Panics
/// For types that this crate does not use.
pub(crate) fn number(kind: Kind) -> i32 {
    match kind {
        Kind::Uint8 => 0,
        Kind::Int64 => 4,
        Kind::Float => 6,
        Kind::BFloat16 => 15,
        other => panic!("no number for {other:?}"),
    }
}

/// Makes glibc keep the memory that tensors free, in one heap; does nothing with other C libraries.
///
/// By default glibc would return large blocks to the system and fetch them again, page by page, in every
/// step. With these settings each heap would keep up to 64 MB for good, and threads get up to eight heaps per
/// core in turn: decoding threads start anew with every validation. So all threads share one heap and its
/// lock; they reuse their buffers and hardly allocate.
pub fn keep_host_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets three parameters of the allocator, which other threads may use meanwhile.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

/// Returns the most bytes of the device's memory that tensors have taken at a time.
///
/// # Errors
/// libtorch has no figures of the device.
pub fn peak_memory(of: Accelerator) -> Result<u64, Failure> {
    let mut bytes = 0i64;
    // SAFETY: the call writes one number.
    check(unsafe { ffi::amdim_peak_memory(of.raw(), &raw mut bytes) })?;
    Ok(bytes as u64)
}

/// Returns the bytes of the device's memory that libtorch's allocator holds, for tensors, recorded graphs and
/// later use.
///
/// # Errors
/// libtorch has no figures of the device.
pub fn reserved_memory(of: Accelerator) -> Result<u64, Failure> {
    let mut bytes = 0i64;
    // SAFETY: the call writes one number.
    check(unsafe { ffi::amdim_reserved_memory(of.raw(), &raw mut bytes) })?;
    Ok(bytes as u64)
}

/// Returns the bytes of free memory, of the accelerator or of the machine; `None` if the system does not
/// tell.
pub fn free_memory(of: Option<Accelerator>) -> Option<u64> {
    let Some(accelerator) = of else { return available_on_host(&fs::read_to_string("/proc/meminfo").ok()?) };
    let mut bytes = 0i64;
    // SAFETY: the call writes one number.
    check(unsafe { ffi::amdim_free_memory(accelerator.raw(), &raw mut bytes) }).ok()?;
    Some(bytes as u64)
}

/// Reads the bytes that Linux can give without swapping, from the text of `/proc/meminfo`.
fn available_on_host(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// The memory of this process, as the system counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Bytes of private memory: neither mapped files nor shared memory.
    pub own: u64,
    /// The most bytes in memory at a time so far, mapped files included.
    pub peak: u64,
}

/// Returns the memory of this process; `None` if the system does not tell.
pub fn resident_memory() -> Option<Resident> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident(status: &str) -> Option<Resident> {
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    };
    Some(Resident { own: of("RssAnon:")?, peak: of("VmHWM:")? })
}

/// A watch of the memory that tensors take: all of an accelerator's, or on the CPU those that this thread
/// allocates while it watches.
#[derive(Debug)]
pub struct MemoryWatch {
    of: Option<Accelerator>,
    /// Makes the type `!Send`: on the CPU the watch is the thread's.
    _here: PhantomData<*const ()>,
}

impl MemoryWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// This thread's memory is being watched or profiled already.
    pub fn start(of: Option<Accelerator>) -> Result<Self, Failure> {
        match of {
            // SAFETY: resets figures of the device's allocator.
            Some(accelerator) => check(unsafe { ffi::amdim_reset_peak_memory(accelerator.raw()) })?,
            // SAFETY: the watch is this thread's own and ends in `drop`.
            None => check(unsafe { ffi::amdim_watch_host_memory() })?,
        }
        Ok(Self { of, _here: PhantomData })
    }

    /// Restarts the peak from the memory in use now.
    pub fn reset(&self) -> Result<(), Failure> {
        match self.of {
            // SAFETY: resets figures of the device's allocator.
            Some(accelerator) => check(unsafe { ffi::amdim_reset_peak_memory(accelerator.raw()) }),
            // SAFETY: resets a figure of this thread's watch, which is still active.
            None => check(unsafe { ffi::amdim_reset_host_memory_peak() }),
        }
    }

    /// Returns the most bytes in use at a time since the start or the last reset.
    pub fn peak(&self) -> Result<u64, Failure> {
        let Some(accelerator) = self.of else {
            let mut bytes = 0i64;
            // SAFETY: the call writes one number, while the watch is active.
            check(unsafe { ffi::amdim_host_memory_peak(&raw mut bytes) })?;
            return Ok(bytes as u64);
        };
        peak_memory(accelerator)
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        if self.of.is_none() {
            // SAFETY: ends the watch that `start` began on this thread.
            let ended = check(unsafe { ffi::amdim_unwatch_host_memory() });
            debug_assert!(ended.is_ok(), "a watch that was begun can be ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn the_most_that_is_taken_at_a_time_is_measured() {
        let floats = |count: i64| Tensor::zeros([count], (Kind::Float, Device::Cpu));
        let before = floats(1 << 20);
        let watch = MemoryWatch::start(None).unwrap();
        drop(floats(3000));
        let kept = floats(1000);
        drop(before);
        let sum = floats(1000) + &kept;
        assert!((12_000..13_000).contains(&watch.peak().unwrap()), "{watch:?}");
        assert!(MemoryWatch::start(None).is_err(), "one at a time");
        assert!(crate::profile(Device::Cpu, || ()).is_err(), "nor beside the profiler");
        watch.reset().unwrap();
        assert_eq!(watch.peak().unwrap(), 8_000, "two are left");
        drop(watch);
        let watch = MemoryWatch::start(None).unwrap();
        drop((kept, sum));
        assert_eq!(watch.peak().unwrap(), 0, "one watch does not see what another one saw");
    }

    #[test]
    fn the_host_says_what_is_free() {
        assert_eq!(available_on_host("MemTotal: 9 kB\nMemAvailable:    20 kB\n"), Some(20_480));
        assert!(free_memory(None).is_some_and(|bytes| bytes > 1 << 20));
        let status = "VmHWM:\t  30 kB\nVmRSS:\t 29 kB\nRssAnon:\t  20 kB\nRssFile:\t 9 kB\n";
        assert_eq!(resident(status), Some(Resident { own: 20_480, peak: 30_720 }));
        assert_eq!(resident("VmHWM:\t  30 kB\n"), None);
    }
}
