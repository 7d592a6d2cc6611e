//! A device's queues of work, and events by which they wait for each other.

#![expect(unsafe_code, reason = "foreign calls")]

use std::{ptr::NonNull, thread, time::Duration};

use tch::Device;

use crate::{
    failure::Failure,
    ffi::{self, RawDevice, RawEvent, RawStream, check},
};

/// c10's device type of CUDA.
const CUDA: i32 = 1;

/// A device that works through a queue while its host goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accelerator(RawDevice);

impl Accelerator {
    /// Returns the accelerator behind a device; `None` for the CPU.
    pub fn of(device: Device) -> Option<Self> {
        match device {
            Device::Cuda(index) => Some(Self(RawDevice { kind: CUDA, index: index as i32 })),
            _ => None,
        }
    }

    /// Returns the first accelerator of c10's device type `kind`, for devices that `tch` has no name for.
    pub fn of_kind(kind: i32) -> Self {
        Self(RawDevice { kind, index: 0 })
    }

    pub(crate) fn raw(self) -> RawDevice {
        self.0
    }

    /// Returns whether torch can pin host memory for it.
    pub(crate) fn has_pinned_memory(self) -> bool {
        self.0.kind == CUDA
    }
}

/// A queue of work. The work of one queue runs in order, that of two queues concurrently.
///
/// On the CPU it is a stand-in: calls return when their work is done. The errors of all methods are
/// libtorch's failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream(Option<RawStream>);

impl Stream {
    /// Returns the queue that this thread's calls go to.
    pub fn current(of: Option<Accelerator>) -> Result<Self, Failure> {
        // SAFETY: `out` is a stream to be written.
        Self::made(of, |device, out| unsafe { ffi::amdim_stream_current(device, out) })
    }

    /// Takes another queue of the device.
    pub fn new(of: Option<Accelerator>) -> Result<Self, Failure> {
        // SAFETY: `out` is a stream to be written.
        Self::made(of, |device, out| unsafe { ffi::amdim_stream_new(device, out) })
    }

    /// Takes a queue of the device that is not this one.
    ///
    /// libtorch hands out the streams of a pool in turn, so a new one may already be in use.
    ///
    /// # Errors
    /// libtorch returned this same stream every time.
    pub fn beside(self, of: Option<Accelerator>) -> Result<Self, Failure> {
        /// More than the size of the pool.
        const TRIES: usize = 100;
        for _ in 0..TRIES {
            let other = Self::new(of)?;
            if other != self || of.is_none() {
                return Ok(other);
            }
        }
        Err(Failure::new("libtorch has no second stream for copying batches"))
    }

    /// Returns the stand-in for the CPU.
    pub fn of_cpu() -> Self {
        Self(None)
    }

    fn made(
        of: Option<Accelerator>,
        make: impl FnOnce(RawDevice, *mut RawStream) -> i32,
    ) -> Result<Self, Failure> {
        let Some(accelerator) = of else { return Ok(Self(None)) };
        let mut stream = RawStream { id: 0, device: accelerator.raw() };
        check(make(accelerator.raw(), &raw mut stream))?;
        Ok(Self(Some(stream)))
    }

    /// Sends this thread's calls to this queue from now on.
    pub fn make_current(self) -> Result<(), Failure> {
        let Some(stream) = self.0 else { return Ok(()) };
        // SAFETY: a stream is a few numbers, all of which came from c10.
        check(unsafe { ffi::amdim_stream_make_current(stream) })
    }

    /// Runs `work`, whose calls go to this queue. Later calls go to the one that was current before.
    pub fn scope<T>(self, work: impl FnOnce() -> T) -> Result<T, Failure> {
        let Some(stream) = self.0 else { return Ok(work()) };
        let _before = Restored(Self::current(Some(Accelerator(stream.device)))?);
        self.make_current()?;
        Ok(work())
    }

    /// Waits until all work queued so far is done.
    pub fn synchronize(self) -> Result<(), Failure> {
        let Some(stream) = self.0 else { return Ok(()) };
        // SAFETY: a stream is a few numbers, all of which came from c10.
        check(unsafe { ffi::amdim_stream_synchronize(stream) })
    }
}

/// A queue that becomes current again when this is dropped.
struct Restored(Stream);

impl Drop for Restored {
    fn drop(&mut self) {
        let restored = self.0.make_current();
        debug_assert!(restored.is_ok(), "a stream that was current can be current again");
    }
}

/// A mark in a queue. An event that was never recorded counts as passed, and so does every event of the CPU.
/// The errors of all methods are libtorch's failures.
#[derive(Debug)]
pub struct Event(Option<NonNull<RawEvent>>);

// SAFETY: an event is c10's own handle of a driver's event. It is bound to no thread, and only one thread at
// a time uses it through `&self`, since it is not `Sync`.
unsafe impl Send for Event {}

impl Event {
    /// Makes an event that can be waited for.
    pub fn new(of: Option<Accelerator>) -> Result<Self, Failure> {
        Self::with_timing(of, false)
    }

    /// Makes an event that also takes the time, for [`milliseconds_to`](Self::milliseconds_to).
    pub fn timed(of: Option<Accelerator>) -> Result<Self, Failure> {
        Self::with_timing(of, true)
    }

    fn with_timing(of: Option<Accelerator>, timed: bool) -> Result<Self, Failure> {
        let Some(accelerator) = of else { return Ok(Self(None)) };
        let mut event = std::ptr::null_mut();
        // SAFETY: on success the pointer is set to an event that nobody else owns.
        check(unsafe { ffi::amdim_event_new(accelerator.raw(), timed.into(), &raw mut event) })?;
        Ok(Self(NonNull::new(event)))
    }

    /// Marks the present end of the queue, in place of an earlier mark.
    pub fn record(&self, stream: Stream) -> Result<(), Failure> {
        let (Some(event), Some(stream)) = (self.0, stream.0) else { return Ok(()) };
        // SAFETY: the event lives until `drop`, and no other thread uses it meanwhile.
        check(unsafe { ffi::amdim_event_record(event.as_ptr(), stream) })
    }

    /// Makes the queue wait for the mark; the host goes on.
    pub fn block(&self, stream: Stream) -> Result<(), Failure> {
        let (Some(event), Some(stream)) = (self.0, stream.0) else { return Ok(()) };
        // SAFETY: the event lives until `drop`, and no other thread uses it meanwhile.
        check(unsafe { ffi::amdim_event_block(event.as_ptr(), stream) })
    }

    /// Returns whether the mark has been reached.
    pub fn has_passed(&self) -> Result<bool, Failure> {
        let Some(event) = self.0 else { return Ok(true) };
        let mut has_passed = 0;
        // SAFETY: the event lives until `drop`, and no other thread uses it meanwhile.
        check(unsafe { ffi::amdim_event_query(event.as_ptr(), &raw mut has_passed) })?;
        Ok(has_passed != 0)
    }

    /// Blocks the host until the mark is reached. It polls every 50 µs and sleeps in between: c10's own wait
    /// would keep a core busy.
    pub fn wait(&self) -> Result<(), Failure> {
        while !self.has_passed()? {
            thread::sleep(Duration::from_micros(50));
        }
        Ok(())
    }

    /// Returns the milliseconds from this mark to `end`, both timed and passed; `None` on the CPU.
    pub fn milliseconds_to(&self, end: &Self) -> Result<Option<f64>, Failure> {
        let (Some(start), Some(end)) = (self.0, end.0) else { return Ok(None) };
        let mut milliseconds = 0.0;
        // SAFETY: both events live until their `drop`, and no other thread uses them meanwhile.
        check(unsafe { ffi::amdim_event_elapsed(start.as_ptr(), end.as_ptr(), &raw mut milliseconds) })?;
        Ok(Some(milliseconds))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Some(event) = self.0 {
            // SAFETY: the event was made by `amdim_event_new` and is freed once.
            unsafe { ffi::amdim_event_free(event.as_ptr()) }
        }
    }
}
