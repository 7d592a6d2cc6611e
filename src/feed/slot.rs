//! Memory of a batch on its way: who may touch it when.
//!
//! A slot is held by one party at a time, the copying thread or the trainer; but the device lags behind both. Three waits
//! keep its work in order, and each is there for one reason:
//!
//! - the *host* waits for the last copy, before the host memory that was copied from is given back ([`Slot::wait_reusable`]);
//! - the *copy queue* waits for the last use, before the device memory is written again ([`Slot::fill`]);
//! - the *compute queue* waits for the copy, before the device memory is read ([`Slot::wait_filled`]).

use anyhow::Result;
use pipeline::Shape;
use tch::{Kind, Tensor};

use torchkit::{Accelerator, Event, Failure, Pinned, Stream};

/// Memory of one batch on the device, which lasts, and the host memory that is being copied to it.
#[derive(Debug)]
pub(super) struct Slot<H> {
    pub(super) pixels: Tensor,
    floats: Tensor,
    /// Labels and indices (2, samples).
    numbers: Tensor,
    host_numbers: Pinned,
    /// What was copied from last.
    held: Option<H>,
    /// The device has begun to copy …
    started: Event,
    /// … has copied and normalized …
    filled: Event,
    /// … and no longer reads.
    consumed: Event,
    /// Tests leave out one of the waits, to see that it matters.
    #[cfg(test)]
    pub(super) omitted: Option<Wait>,
}

/// The waits of the protocol.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Reusable,
    Consumed,
    Filled,
}

/// What a slot is filled from.
#[derive(Debug)]
pub(super) struct Source {
    /// The pixels' bytes, in pinned memory.
    pub(super) pixels: Tensor,
    pub(super) labels: Vec<i64>,
    pub(super) indices: Vec<i64>,
}

impl<H> Slot<H> {
    /// Memory for batches of up to this shape.
    pub(super) fn new(shape: Shape, of: Option<Accelerator>) -> Result<Self, Failure> {
        let bytes = shape.bytes() as i64;
        Ok(Self {
            pixels: torchkit::empty(&[bytes], Kind::Uint8, of)?,
            floats: torchkit::empty(&[bytes], Kind::Float, of)?,
            numbers: torchkit::empty(&[2 * shape.samples as i64], Kind::Int64, of)?,
            host_numbers: Pinned::new(2 * 8 * shape.samples, of)?,
            held: None,
            started: Event::timed(of)?,
            filled: Event::timed(of)?,
            consumed: Event::new(of)?,
            #[cfg(test)]
            omitted: None,
        })
    }

    /// Lets the host wait until the last copy is over, and gives back what it was made from. Gives the milliseconds that
    /// copying and normalizing took on the device.
    pub(super) fn wait_reusable(&mut self) -> Result<Option<f64>, Failure> {
        #[cfg(test)]
        if self.omitted == Some(Wait::Reusable) {
            self.held = None;
            return Ok(None);
        }
        self.filled.wait()?;
        match self.held.take() {
            Some(_) => self.started.milliseconds_to(&self.filled),
            None => Ok(None),
        }
    }

    /// Queues the copy of a batch, and `finish` on the device's bytes and floats behind it. `held` keeps the source's memory
    /// until the copy is over.
    pub(super) fn fill(
        &mut self,
        source: &Source,
        held: H,
        copies: Stream,
        finish: impl FnOnce(&Tensor, &Tensor) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let [bytes, count] = [source.pixels.numel(), 2 * source.labels.len()];
        let numbers = source.labels.iter().chain(&source.indices);
        for (number, out) in numbers.zip(self.host_numbers.as_mut().as_chunks_mut().0) {
            *out = number.to_ne_bytes();
        }
        self.held = Some(held); // before the device begins
        let queued = self.queue(source, (bytes, count), copies, finish);
        if queued.is_err() {
            // Whatever was queued must be over before the memory is given back.
            copies.synchronize()?;
        }
        queued
    }

    fn queue(
        &self,
        source: &Source,
        (bytes, count): (usize, usize),
        copies: Stream,
        finish: impl FnOnce(&Tensor, &Tensor) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.wait_consumed(copies)?;
        self.started.record(copies)?;
        let first = |tensor: &Tensor, count: usize| tensor.narrow(0, 0, count as i64);
        let (pixels, floats) = (first(&self.pixels, bytes), first(&self.floats, bytes));
        torchkit::copy(&pixels, &source.pixels)?;
        torchkit::copy(
            &first(&self.numbers, count),
            &self.host_numbers.tensor(8 * count).view_dtype(Kind::Int64),
        )?;
        finish(&pixels, &floats)?;
        self.filled.record(copies)
    }

    fn wait_consumed(&self, copies: Stream) -> Result<(), Failure> {
        #[cfg(test)]
        if self.omitted == Some(Wait::Consumed) {
            return Ok(());
        }
        self.consumed.block(copies)
    }

    /// Lets the compute queue wait until the slot is filled.
    pub(super) fn wait_filled(&self, compute: Stream) -> Result<(), Failure> {
        #[cfg(test)]
        if self.omitted == Some(Wait::Filled) {
            return Ok(());
        }
        self.filled.block(compute)
    }

    /// Marks that all that reads the slot has been queued.
    pub(super) fn release(&self, compute: Stream) -> Result<(), Failure> {
        self.consumed.record(compute)
    }

    /// The normalized pixels (views, samples, side, side, 3).
    pub(super) fn images(&self, shape: Shape) -> Tensor {
        let Shape { views, samples, side } = shape;
        let sizes = [views, samples, side, side, 3].map(|size| size as i64);
        self.floats.narrow(0, 0, shape.bytes() as i64).view(sizes)
    }

    /// Labels and indices of so many samples (2, samples).
    pub(super) fn numbers(&self, samples: usize) -> Tensor {
        self.numbers.narrow(0, 0, 2 * samples as i64).view([2, samples as i64])
    }
}

impl<H> Drop for Slot<H> {
    /// Its memory is not given back while the device works with it, whoever drops it.
    fn drop(&mut self) {
        for event in [&self.filled, &self.consumed] {
            if let Err(error) = event.wait() {
                tracing::error!("cannot wait for the device: {error}");
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        ffi::{CString, c_int},
        sync::{Mutex, MutexGuard, OnceLock, PoisonError},
        thread,
    };

    use crossbeam::channel::{self, Receiver, Sender};
    use torch_sys::C_tensor;

    use super::*;

    /// Of a kernel that finds the least and the greatest byte of a tensor.
    pub(crate) type Range = unsafe extern "C" fn(*mut C_tensor, *mut i32);

    /// Of what sets the microseconds of a copy and of a kernel.
    pub(crate) type Delays = extern "C" fn(c_int, c_int);

    /// Of what keeps the current stream busy until it is let go, or so many milliseconds are over.
    pub(crate) type Hold = extern "C" fn(c_int);

    /// Of what lets it go.
    pub(crate) type LetGo = extern "C" fn();

    /// A device that lags behind (`torchkit/cxx/fake_device.cpp`).
    pub(crate) struct Fake {
        pub(crate) accelerator: Accelerator,
        pub(crate) range: Range,
        pub(crate) delays: Delays,
        pub(crate) hold: Hold,
        pub(crate) let_go: LetGo,
    }

    #[expect(unsafe_code, reason = "a library that is loaded by name")]
    pub(crate) fn fake() -> &'static Fake {
        static FAKE: OnceLock<Fake> = OnceLock::new();
        FAKE.get_or_init(|| {
            let path = CString::new(env!("AMDIM_FAKE_DEVICE")).unwrap();
            // SAFETY: the library is the one that build.rs made of `fake_device.cpp`; it is never unloaded, and its
            // functions have these types.
            unsafe {
                let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
                assert!(!library.is_null(), "{path:?} cannot be loaded");
                let kind = libc::dlsym(library, c"amdim_fake_device_type".as_ptr());
                let range = libc::dlsym(library, c"amdim_fake_range".as_ptr());
                let delays = libc::dlsym(library, c"amdim_fake_delays".as_ptr());
                let hold = libc::dlsym(library, c"amdim_fake_hold".as_ptr());
                let let_go = libc::dlsym(library, c"amdim_fake_let_go".as_ptr());
                assert!([kind, range, delays, hold, let_go].iter().all(|function| !function.is_null()));
                let hold = std::mem::transmute::<*mut libc::c_void, Hold>(hold);
                let let_go = std::mem::transmute::<*mut libc::c_void, LetGo>(let_go);
                let delays = std::mem::transmute::<*mut libc::c_void, Delays>(delays);
                let kind = std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> c_int>(kind);
                let range = std::mem::transmute::<*mut libc::c_void, Range>(range);
                Fake { accelerator: Accelerator::of_kind(kind()), range, delays, hold, let_go }
            }
        })
    }

    impl Fake {
        /// The device for one test alone: its delays and streams are everybody's.
        pub(crate) fn alone() -> MutexGuard<'static, ()> {
            static ALONE: Mutex<()> = Mutex::new(());
            ALONE.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    const SHAPE: Shape = Shape { views: 2, samples: 4, side: 16 };

    /// Copies batches of one value each, as the feed does.
    fn copy(slots: Receiver<Slot<Lent>>, ready: Sender<(u8, Slot<Lent>)>, batches: u8, copies: Stream) {
        // Host memory goes round as in the loader, at the least number that the protocol can do with.
        let (home, memory) = channel::bounded(3);
        for _ in 0..3 {
            home.send(Pinned::new(SHAPE.bytes(), None).unwrap()).unwrap();
        }
        for value in 1..=batches {
            copies.make_current().unwrap();
            let mut slot = slots.recv().unwrap();
            let milliseconds = slot.wait_reusable().unwrap();
            assert!(
                milliseconds.is_none_or(|milliseconds| milliseconds >= 2.0),
                "a copy takes two milliseconds"
            );
            let mut pinned = memory.recv().unwrap();
            pinned.as_mut().fill(value);
            let source = Source {
                pixels: pinned.tensor(SHAPE.bytes()),
                labels: vec![value.into(); SHAPE.samples],
                indices: vec![value.into(); SHAPE.samples],
            };
            let lent = Lent { pinned: Some(pinned), home: home.clone() };
            slot.fill(&source, lent, copies, |_, _| Ok(())).unwrap();
            ready.send((value, slot)).unwrap();
        }
    }

    /// Host memory that goes home when it is no longer copied from.
    struct Lent {
        pinned: Option<Pinned>,
        home: Sender<Pinned>,
    }

    impl Drop for Lent {
        fn drop(&mut self) {
            drop(self.home.try_send(self.pinned.take().unwrap()));
        }
    }

    /// Batches of 40 of which the compute queue did not see what was put into them.
    #[expect(unsafe_code, reason = "a foreign function")]
    fn corrupted(omitted: Option<Wait>, (copy_us, kernel_us): (c_int, c_int)) -> usize {
        let batches = 40u8;
        let Fake { accelerator, range, delays, .. } = fake();
        delays(copy_us, kernel_us);
        let of = Some(*accelerator);
        let (compute, copies) = (Stream::new(of).unwrap(), Stream::new(of).unwrap());
        compute.make_current().unwrap();
        let (free, slots) = channel::bounded(2);
        for _ in 0..2 {
            let mut slot = Slot::new(SHAPE, of).unwrap();
            slot.omitted = omitted;
            free.send(slot).unwrap();
        }
        let (ready_sender, ready) = channel::bounded(1);
        let copier = thread::spawn(move || copy(slots, ready_sender, batches, copies));
        let mut seen = vec![[0; 2]; batches.into()];
        for (value, slot) in &ready {
            slot.wait_filled(compute).unwrap();
            // SAFETY: slot and `seen` outlive the queue's work, which is waited for below.
            unsafe { range(slot.pixels.as_ptr().cast_mut(), seen[usize::from(value) - 1].as_mut_ptr()) };
            slot.release(compute).unwrap();
            drop(free.send(slot));
        }
        copier.join().unwrap();
        compute.synchronize().unwrap();
        (1..).zip(seen).filter(|(value, seen)| *seen != [*value; 2]).count()
    }

    #[test]
    fn the_device_sees_each_batch_whole_and_no_wait_can_be_left_out() {
        let _alone = Fake::alone();
        let (slow_copies, slow_kernels) = ((4_000, 1_000), (1_000, 4_000));
        for delays in [slow_copies, slow_kernels] {
            assert_eq!(corrupted(None, delays), 0);
        }
        // Each matters where the others do not happen to cover it.
        for (omitted, delays) in
            [(Wait::Filled, slow_copies), (Wait::Consumed, slow_kernels), (Wait::Reusable, slow_kernels)]
        {
            let count = corrupted(Some(omitted), delays);
            assert!(count > 3, "without `{omitted:?}` only {count} batches are wrong");
        }
    }
}
