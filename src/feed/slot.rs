//! The memory of a batch on its way to the device, and who may use it when.
//!
//! Either the copying thread or the trainer holds a slot, but the device lags behind both. Three waits keep
//! its work in order:
//!
//! - the *host* waits for the last copy, before it reuses the host memory of that copy
//!   ([`Slot::wait_reusable`]);
//! - the *copy stream* waits for the last use, before it writes the device memory again ([`Slot::fill`]);
//! - the *compute stream* waits for the copy, before it reads the device memory ([`Slot::wait_filled`]).

use anyhow::Result;
use pipeline::Shape;
use tch::{Kind, Tensor};

use torchkit::{Accelerator, Event, Failure, Pinned, Stream};

/// Device memory for one batch, and the host memory that is being copied to it.
#[derive(Debug)]
pub(super) struct Slot<H> {
    pub(super) pixels: Tensor,
    /// The normalized pixels.
    images: Tensor,
    /// Labels and indices (2, samples).
    numbers: Tensor,
    host_numbers: Pinned,
    /// The owner of the host memory of the last copy.
    held: Option<H>,
    /// The device has begun to copy.
    started: Event,
    /// The device has copied and normalized.
    filled: Event,
    /// The device no longer reads the slot.
    consumed: Event,
    /// The wait that a test leaves out, to show that it matters.
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

/// The contents of a batch in host memory.
#[derive(Debug)]
pub(super) struct Source {
    /// The bytes of the pixels, in pinned memory.
    pub(super) pixels: Tensor,
    pub(super) labels: Vec<i64>,
    pub(super) indices: Vec<i64>,
}

impl<H> Slot<H> {
    /// Allocates memory for batches of up to `samples` samples, whose views have up to `bytes` bytes and become
    /// images of this kind.
    pub(super) fn new(
        bytes: usize,
        samples: usize,
        kind: Kind,
        accelerator: Option<Accelerator>,
    ) -> Result<Self, Failure> {
        let bytes = bytes as i64;
        Ok(Self {
            pixels: torchkit::empty(&[bytes], Kind::Uint8, accelerator)?,
            images: torchkit::empty(&[bytes], kind, accelerator)?,
            numbers: torchkit::empty(&[2 * samples as i64], Kind::Int64, accelerator)?,
            host_numbers: Pinned::new(2 * 8 * samples, accelerator)?,
            held: None,
            started: Event::timed(accelerator)?,
            filled: Event::timed(accelerator)?,
            consumed: Event::new(accelerator)?,
            #[cfg(test)]
            omitted: None,
        })
    }

    /// Waits until the last copy is over, and drops the owner of its host memory. Returns the milliseconds
    /// that copying and normalizing took on the device.
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

    /// Queues the copy of a batch, and then `finish`, which gets the bytes and the memory of the images on
    /// the device.
    /// `held` owns the memory of the source and is kept until the copy is over.
    pub(super) fn fill(
        &mut self,
        source: &Source,
        held: H,
        copies: Stream,
        finish: impl FnOnce(&Tensor, &Tensor) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let numbers = source.labels.iter().chain(&source.indices);
        for (number, out) in numbers.zip(self.host_numbers.as_mut().as_chunks_mut().0) {
            *out = number.to_ne_bytes();
        }
        self.held = Some(held); // before the device begins
        let queued = self.queue(source, copies, finish);
        if queued.is_err() {
            // Copies that were queued must be over before the memory is reused.
            copies.synchronize()?;
        }
        queued
    }

    fn queue(
        &self,
        source: &Source,
        copies: Stream,
        finish: impl FnOnce(&Tensor, &Tensor) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let [bytes, count] = [source.pixels.numel(), 2 * source.labels.len()];
        self.wait_consumed(copies)?;
        self.started.record(copies)?;
        let first = |tensor: &Tensor, count: usize| tensor.narrow(0, 0, count as i64);
        let (pixels, images) = (first(&self.pixels, bytes), first(&self.images, bytes));
        torchkit::copy(&pixels, &source.pixels)?;
        torchkit::copy(
            &first(&self.numbers, count),
            &self.host_numbers.tensor(8 * count).view_dtype(Kind::Int64),
        )?;
        finish(&pixels, &images)?;
        self.filled.record(copies)
    }

    fn wait_consumed(&self, copies: Stream) -> Result<(), Failure> {
        #[cfg(test)]
        if self.omitted == Some(Wait::Consumed) {
            return Ok(());
        }
        self.consumed.block(copies)
    }

    /// Makes the compute stream wait until the slot is filled.
    pub(super) fn wait_filled(&self, compute: Stream) -> Result<(), Failure> {
        #[cfg(test)]
        if self.omitted == Some(Wait::Filled) {
            return Ok(());
        }
        self.filled.block(compute)
    }

    /// Notes that all work that reads the slot has been queued.
    pub(super) fn release(&self, compute: Stream) -> Result<(), Failure> {
        self.consumed.record(compute)
    }

    /// Returns the normalized pixels (views, samples, side, side, 3) of each group of views.
    pub(super) fn groups(&self, shapes: &[Shape]) -> Vec<Tensor> {
        let bytes: Vec<_> = shapes.iter().map(|shape| shape.bytes() as i64).collect();
        let all = self.images.narrow(0, 0, bytes.iter().sum()).split_with_sizes(bytes, 0);
        let images = |(images, shape): (Tensor, &Shape)| {
            let &Shape { views, samples, side } = shape;
            images.view([views, samples, side, side, 3].map(|size| size as i64))
        };
        all.into_iter().zip(shapes).map(images).collect()
    }

    /// Returns labels and indices (2, samples).
    pub(super) fn numbers(&self, samples: usize) -> Tensor {
        self.numbers.narrow(0, 0, 2 * samples as i64).view([2, samples as i64])
    }
}

impl<H> Drop for Slot<H> {
    /// Waits until the device no longer uses the memory.
    fn drop(&mut self) {
        for event in [&self.filled, &self.consumed] {
            if let Err(error) = event.wait() {
                tracing::error!("cannot wait for the device: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::c_int, thread};

    use crossbeam::channel::{self, Receiver, Sender};

    use super::*;
    use crate::testing::fake_device::{Fake, fake};

    const SHAPE: Shape = Shape { views: 2, samples: 4, side: 16 };

    /// Copies batches as the feed does. All bytes of a batch have the same value.
    fn copy(slots: Receiver<Slot<Lent>>, ready: Sender<(u8, Slot<Lent>)>, batches: u8, copies: Stream) {
        // Host memory is reused as in the loader; the protocol needs three blocks.
        let (spares, memory) = channel::bounded(3);
        for _ in 0..3 {
            spares.send(Pinned::new(SHAPE.bytes(), None).unwrap()).unwrap();
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
            let lent = Lent { pinned: Some(pinned), spares: spares.clone() };
            slot.fill(&source, lent, copies, |_, _| Ok(())).unwrap();
            ready.send((value, slot)).unwrap();
        }
    }

    /// Host memory that is sent back when it is dropped.
    struct Lent {
        pinned: Option<Pinned>,
        spares: Sender<Pinned>,
    }

    impl Drop for Lent {
        fn drop(&mut self) {
            drop(self.spares.try_send(self.pinned.take().unwrap()));
        }
    }

    /// Returns how many of 40 batches the compute stream read wrong.
    #[expect(unsafe_code, reason = "the fake device's kernel is a foreign function")]
    fn corrupted(omitted: Option<Wait>, (copy_us, kernel_us): (c_int, c_int)) -> usize {
        let batches = 40u8;
        let Fake { accelerator, range, delays, .. } = fake();
        delays(copy_us, kernel_us);
        let of = Some(*accelerator);
        let (compute, copies) = (Stream::new(of).unwrap(), Stream::new(of).unwrap());
        compute.make_current().unwrap();
        let (free, slots) = channel::bounded(2);
        for _ in 0..2 {
            let mut slot = Slot::new(SHAPE.bytes(), SHAPE.samples, Kind::Float, of).unwrap();
            slot.omitted = omitted;
            free.send(slot).unwrap();
        }
        let (ready_sender, ready) = channel::bounded(1);
        let copier = thread::spawn(move || copy(slots, ready_sender, batches, copies));
        let mut seen = vec![[0; 2]; batches.into()];
        for (value, slot) in &ready {
            slot.wait_filled(compute).unwrap();
            // SAFETY: slot and `seen` outlive the work of the stream, which is waited for below.
            unsafe { range(slot.pixels.as_ptr().cast_mut(), seen[usize::from(value) - 1].as_mut_ptr()) };
            slot.release(compute).unwrap();
            drop(free.send(slot));
        }
        copier.join().unwrap();
        compute.synchronize().unwrap();
        (1..).zip(seen).filter(|(value, seen)| *seen != [*value; 2]).count()
    }

    #[test]
    fn the_device_reads_each_batch_complete_and_no_wait_can_be_left_out() {
        let _alone = Fake::alone();
        let (slow_copies, slow_kernels) = ((4_000, 1_000), (1_000, 4_000));
        for delays in [slow_copies, slow_kernels] {
            assert_eq!(corrupted(None, delays), 0);
        }
        // With these delays, the other waits do not make up for the one that is left out.
        for (omitted, delays) in
            [(Wait::Filled, slow_copies), (Wait::Consumed, slow_kernels), (Wait::Reusable, slow_kernels)]
        {
            let count = corrupted(Some(omitted), delays);
            assert!(count > 3, "without `{omitted:?}` only {count} batches are wrong");
        }
    }
}
