//! Memory that a device copies from while its host goes on, and what the device's own memory is used for.

#![expect(unsafe_code, reason = "foreign calls, and a tensor's bytes")]

use std::{fs, marker::PhantomData};

use tch::{Kind, Tensor};

use crate::{
    failure::Failure,
    ffi::{self, RawDevice, check, made, raw},
    stream::Accelerator,
};

/// c10's number of the CPU.
const CPU: i32 = 0;

/// Bytes of the host that stay where they are: pinned, where there is a device to copy from them.
#[derive(Debug)]
pub struct Pinned {
    tensor: Tensor,
    bytes: usize,
}

impl Pinned {
    /// So many bytes, zero at first.
    pub fn new(bytes: usize, of: Option<Accelerator>) -> Result<Self, Failure> {
        let mut tensor = if of.is_some_and(Accelerator::has_pinned_memory) {
            // SAFETY: `out` is written on success alone, to a new tensor.
            made(|out| unsafe { ffi::amdim_pinned(bytes as i64, out) })?
        } else {
            Tensor::empty([bytes as i64], (Kind::Uint8, tch::Device::Cpu))
        };
        let _ = tensor.fill_(0);
        Ok(Self { tensor, bytes })
    }

    /// The first `bytes` of it, as a tensor (bytes) that shares the memory, for a device to copy from or to: not used while the
    /// bytes are.
    pub fn tensor(&self, bytes: usize) -> Tensor {
        self.tensor.narrow(0, 0, bytes as i64)
    }
}

impl AsRef<[u8]> for Pinned {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the tensor is contiguous bytes on the host, so many of them, initialized, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.tensor.data_ptr().cast(), self.bytes) }
    }
}

impl AsMut<[u8]> for Pinned {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `as_ref`. That no device still copies from these bytes is what the feed's events are for; to
        // write them meanwhile would give a wrong batch, but is a race with the device alone, which no reference sees.
        unsafe { std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast(), self.bytes) }
    }
}

/// Copies a tensor into another one, on this thread's current stream, without waiting for it.
pub fn copy(to: &Tensor, from: &Tensor) -> Result<(), Failure> {
    // SAFETY: both tensors are borrowed until the call returns; c10 keeps pinned memory that is given back until its
    // copies are done, and everything else is the caller's to keep.
    check(unsafe { ffi::amdim_copy(raw(to), raw(from)) })
}

/// A tensor on the accelerator, or on the CPU, whose contents are anything.
pub fn empty(shape: &[i64], kind: Kind, of: Option<Accelerator>) -> Result<Tensor, Failure> {
    let device = of.map_or(RawDevice { kind: CPU, index: -1 }, Accelerator::raw);
    // SAFETY: the sizes are as many as is said; `out` is written on success alone, to a new tensor.
    made(|out| unsafe { ffi::amdim_empty(device, shape.as_ptr(), shape.len(), number(kind), out) })
}

/// c10's number of a kind of numbers.
///
/// # Panics
/// On kinds that nobody has asked for yet.
pub(crate) fn number(kind: Kind) -> i32 {
    match kind {
        Kind::Uint8 => 0,
        Kind::Int64 => 4,
        Kind::Float => 6,
        Kind::BFloat16 => 15,
        other => panic!("no number for {other:?}"),
    }
}

/// Lets the C library keep memory that tensors give back: it would return large pieces to the system, and fetch them again,
/// page by page, in every step. Only glibc does that; elsewhere nothing is changed.
///
/// It would then keep up to 64 MB for good of every further heap, and it gives threads up to eight a core, one after the other:
/// those that decode begin anew with every validation. One heap serves all threads, which share its lock; they keep their
/// buffers, and hardly allocate.
pub fn keep_host_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets three numbers of the allocator; other threads may allocate meanwhile.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

/// Bytes of the device's memory that tensors have taken at most so far.
pub fn peak_memory(of: Accelerator) -> Result<u64, Failure> {
    let mut bytes = 0i64;
    // SAFETY: one number is written.
    check(unsafe { ffi::amdim_peak_memory(of.raw(), &raw mut bytes) })?;
    Ok(bytes as u64)
}

/// Bytes of the device's memory that are held for tensors, recorded graphs, and what may come.
pub fn reserved_memory(of: Accelerator) -> Result<u64, Failure> {
    let mut bytes = 0i64;
    // SAFETY: one number is written.
    check(unsafe { ffi::amdim_reserved_memory(of.raw(), &raw mut bytes) })?;
    Ok(bytes as u64)
}

/// Bytes of memory that are free: the accelerator's, or the machine's. None where nobody tells.
pub fn free_memory(of: Option<Accelerator>) -> Option<u64> {
    let Some(accelerator) = of else { return available_on_host(&fs::read_to_string("/proc/meminfo").ok()?) };
    let mut bytes = 0i64;
    // SAFETY: one number is written.
    check(unsafe { ffi::amdim_free_memory(accelerator.raw(), &raw mut bytes) }).ok()?;
    Some(bytes as u64)
}

/// What Linux says it can still give without swapping.
fn available_on_host(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Memory of this process, by the system's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Bytes of its own: neither mapped files nor memory that is shared.
    pub own: u64,
    /// The most bytes so far that were in memory at a time, mapped files included.
    pub peak: u64,
}

/// What memory this process takes. None where nobody tells.
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

/// Watches how much memory tensors take: on an accelerator all that there are, on the CPU those that this thread makes while
/// it watches.
#[derive(Debug)]
pub struct MemoryWatch {
    of: Option<Accelerator>,
    /// What is watched on the CPU is a thread's own.
    _here: PhantomData<*const ()>,
}

impl MemoryWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// If this thread's memory is watched, or profiled, already.
    pub fn start(of: Option<Accelerator>) -> Result<Self, Failure> {
        match of {
            // SAFETY: sets numbers of the device's allocator.
            Some(accelerator) => check(unsafe { ffi::amdim_reset_peak_memory(accelerator.raw()) })?,
            // SAFETY: the watch is this thread's own, and ends in `drop`.
            None => check(unsafe { ffi::amdim_watch_host_memory() })?,
        }
        Ok(Self { of, _here: PhantomData })
    }

    /// Counts the most from what there is now on.
    pub fn reset(&self) -> Result<(), Failure> {
        match self.of {
            // SAFETY: sets numbers of the device's allocator.
            Some(accelerator) => check(unsafe { ffi::amdim_reset_peak_memory(accelerator.raw()) }),
            // SAFETY: sets a number of this thread's watch, which lasts.
            None => check(unsafe { ffi::amdim_reset_host_memory_peak() }),
        }
    }

    /// The most bytes at a time so far.
    pub fn peak(&self) -> Result<u64, Failure> {
        let Some(accelerator) = self.of else {
            let mut bytes = 0i64;
            // SAFETY: one number is written, while the watch lasts.
            check(unsafe { ffi::amdim_host_memory_peak(&raw mut bytes) })?;
            return Ok(bytes as u64);
        };
        peak_memory(accelerator)
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        if self.of.is_none() {
            // SAFETY: ends what `start` began on this thread.
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
