//! Queues of a device's work, and the marks by which they wait for each other.

#![expect(unsafe_code, reason = "foreign calls")]

use std::{ptr::NonNull, thread, time::Duration};

use tch::Device;

use crate::{
    failure::Failure,
    ffi::{self, RawDevice, RawEvent, RawStream, check},
};

/// c10's number of CUDA.
const CUDA: i32 = 1;

/// A device that queues its work, and does it while its host goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accelerator(RawDevice);

impl Accelerator {
    /// The accelerator behind a device; none for the CPU.
    pub fn of(device: Device) -> Option<Self> {
        match device {
            Device::Cuda(index) => Some(Self(RawDevice { kind: CUDA, index: index as i32 })),
            _ => None,
        }
    }

    /// The accelerator of this kind by c10's numbers: for devices that torch does not know by a name.
    pub fn of_kind(kind: i32) -> Self {
        Self(RawDevice { kind, index: 0 })
    }

    pub(crate) fn raw(self) -> RawDevice {
        self.0
    }

    /// Whether torch can pin host memory for it.
    pub(crate) fn has_pinned_memory(self) -> bool {
        self.0.kind == CUDA
    }
}

/// A queue of work. Work of one queue is done in order, that of two at once.
///
/// On the CPU it stands for the thread itself, whose calls return when their work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream(Option<RawStream>);

impl Stream {
    /// The queue that this thread's calls go to.
    pub fn current(of: Option<Accelerator>) -> Result<Self, Failure> {
        // SAFETY: `out` is a stream to be written.
        Self::made(of, |device, out| unsafe { ffi::amdim_stream_current(device, out) })
    }

    /// Another queue of the device.
    pub fn new(of: Option<Accelerator>) -> Result<Self, Failure> {
        // SAFETY: `out` is a stream to be written.
        Self::made(of, |device, out| unsafe { ffi::amdim_stream_new(device, out) })
    }

    /// A queue of the device whose work is done beside this one's.
    ///
    /// libtorch gives the streams of a pool in turn, so that a new one may be any that is in use already.
    ///
    /// # Errors
    /// If libtorch has no other stream.
    pub fn beside(self, of: Option<Accelerator>) -> Result<Self, Failure> {
        /// More than a pool has.
        const TRIES: usize = 100;
        for _ in 0..TRIES {
            let other = Self::new(of)?;
            if other != self || of.is_none() {
                return Ok(other);
            }
        }
        Err(Failure::new("libtorch gives no second stream, on which batches could be copied"))
    }

    /// The stand-in of the CPU.
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
        // SAFETY: a stream is a few numbers, all of which came from c10.
        self.0.map_or(Ok(()), |stream| check(unsafe { ffi::amdim_stream_make_current(stream) }))
    }

    /// Waits until all of its work so far is done.
    pub fn synchronize(self) -> Result<(), Failure> {
        // SAFETY: a stream is a few numbers, all of which came from c10.
        self.0.map_or(Ok(()), |stream| check(unsafe { ffi::amdim_stream_synchronize(stream) }))
    }
}

/// A mark in a queue. One that was never recorded counts as passed. On the CPU it is passed at once.
#[derive(Debug)]
pub struct Event(Option<NonNull<RawEvent>>);

// SAFETY: an event is c10's own handle of a driver's event. It is bound to no thread, and is used through `&self` by
// one party at a time: it is not `Sync`.
unsafe impl Send for Event {}

impl Event {
    /// An event to wait for.
    pub fn new(of: Option<Accelerator>) -> Result<Self, Failure> {
        Self::with_timing(of, false)
    }

    /// An event between which and another one time can be measured.
    pub fn timed(of: Option<Accelerator>) -> Result<Self, Failure> {
        Self::with_timing(of, true)
    }

    fn with_timing(of: Option<Accelerator>, timed: bool) -> Result<Self, Failure> {
        let Some(accelerator) = of else { return Ok(Self(None)) };
        let mut event = std::ptr::null_mut();
        // SAFETY: the pointer is written on success, to an event that nobody else owns.
        check(unsafe { ffi::amdim_event_new(accelerator.raw(), timed.into(), &raw mut event) })?;
        Ok(Self(NonNull::new(event)))
    }

    /// Marks where the queue stands now; what was marked before is forgotten.
    pub fn record(&self, stream: Stream) -> Result<(), Failure> {
        let (Some(event), Some(stream)) = (self.0, stream.0) else { return Ok(()) };
        // SAFETY: the event lives until `drop`; it is not used by another thread meanwhile.
        check(unsafe { ffi::amdim_event_record(event.as_ptr(), stream) })
    }

    /// Lets the queue wait for the mark; the host goes on.
    pub fn block(&self, stream: Stream) -> Result<(), Failure> {
        let (Some(event), Some(stream)) = (self.0, stream.0) else { return Ok(()) };
        // SAFETY: the event lives until `drop`; it is not used by another thread meanwhile.
        check(unsafe { ffi::amdim_event_block(event.as_ptr(), stream) })
    }

    /// Whether the mark has been reached.
    pub fn has_passed(&self) -> Result<bool, Failure> {
        let Some(event) = self.0 else { return Ok(true) };
        let mut has_passed = 0;
        // SAFETY: the event lives until `drop`; it is not used by another thread meanwhile.
        check(unsafe { ffi::amdim_event_query(event.as_ptr(), &raw mut has_passed) })?;
        Ok(has_passed != 0)
    }

    /// Lets the host wait for the mark. It sleeps in between: c10's own wait would keep a core busy.
    pub fn wait(&self) -> Result<(), Failure> {
        while !self.has_passed()? {
            thread::sleep(Duration::from_micros(50));
        }
        Ok(())
    }

    /// Milliseconds from this mark to `end`; both are timed and passed. None on the CPU, which has no such clock.
    pub fn milliseconds_to(&self, end: &Self) -> Result<Option<f64>, Failure> {
        let (Some(start), Some(end)) = (self.0, end.0) else { return Ok(None) };
        let mut milliseconds = 0.0;
        // SAFETY: both events live until their `drop`; they are not used by another thread meanwhile.
        check(unsafe { ffi::amdim_event_elapsed(start.as_ptr(), end.as_ptr(), &raw mut milliseconds) })?;
        Ok(Some(milliseconds))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Some(event) = self.0 {
            // SAFETY: made by `amdim_event_new`, and given back once.
            unsafe { ffi::amdim_event_free(event.as_ptr()) }
        }
    }
}
