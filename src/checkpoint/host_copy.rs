//! Copies of the tensors of a checkpoint on the host, which are made while the device goes on.

use std::iter;

use tch::{Kind, Tensor};
use torchkit::{Accelerator, Event, Failure, Pinned, Stream};

use super::tensors::Named;
use crate::notice;

/// Copies the tensors of checkpoints to the host, one checkpoint at a time, and keeps the host memory.
#[derive(Debug)]
pub(crate) struct HostCopies {
    accelerator: Option<Accelerator>,
    way: Way,
    /// The stream of copies to the host. None before the first one.
    copies: Option<Stream>,
    /// The host memory of the last copy. None before the first one and while the last one is in use.
    memory: Option<Pinned>,
}

/// How tensors get to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Into a copy on the device, which is copied to the host while the device goes on.
    ByCopy,
    /// Straight to the host, while later work of the device waits: the device lacks memory for a copy.
    Directly,
    /// Not at all: the host lacks memory, or the tensors are there.
    Shared,
}

/// The tensors of a checkpoint as they are when the device has done the work that was queued before.
#[derive(Debug)]
pub(crate) struct HostCopy {
    model: Named,
    optimizer: Named,
    /// The host memory of the tensors. None if they are those of the training.
    memory: Option<Pinned>,
    /// The copy on the device, until it is on the host.
    on_device: Option<Tensor>,
    /// The stream of the last copy, and its end.
    stream: Stream,
    arrived: Event,
}

impl HostCopies {
    /// Returns what copies tensors of an accelerator. `is_queued` is false for a device whose work is done when
    /// a call returns: its tensors are not copied.
    pub(crate) fn new(accelerator: Option<Accelerator>, is_queued: bool) -> Self {
        let way = match (is_queued, accelerator) {
            (true, Some(_)) => Way::ByCopy,
            (true, None) => Way::Directly,
            (false, _) => Way::Shared,
        };
        Self { accelerator, way, copies: None, memory: None }
    }

    /// Allocates the memory for copies of these tensors, which takes a while, before the device has work. Warns
    /// if there is too little.
    pub(crate) fn reserve(&mut self, model: &Named, optimizer: &Named) {
        let places = places(model.values().chain(optimizer.values()));
        self.memory = self.memory(places.last().map_or(0, Place::end));
    }

    /// Queues copies of these tensors behind the work of this thread's current stream, and does not wait for
    /// them. Work that is queued later does not change what they have.
    ///
    /// # Errors
    ///
    /// The device's failure.
    pub(crate) fn take(&mut self, model: &Named, optimizer: &Named) -> Result<HostCopy, Failure> {
        let places = places(model.values().chain(optimizer.values()));
        let bytes = places.last().map_or(0, Place::end);
        let Some(memory) = self.memory(bytes) else { return self.shared(model, optimizer) };
        let host = memory.tensor(bytes);
        let (arrived, compute) = (Event::new(self.accelerator)?, Stream::current(self.accelerator)?);
        let on_device = self.room_on_device(bytes)?;
        let target = on_device.as_ref().unwrap_or(&host);
        for (tensor, place) in model.values().chain(optimizer.values()).zip(&places) {
            torchkit::copy(&place.of(target), tensor)?;
        }
        let stream = match &on_device {
            Some(copy) => self.copy_aside(&host, copy, compute)?,
            None => compute,
        };
        arrived.record(stream)?;
        let mut on_host = places.iter().map(|place| place.of(&host));
        let mut named = |named: &Named| named.keys().cloned().zip(on_host.by_ref()).collect();
        let (model, optimizer) = (named(model), named(optimizer));
        Ok(HostCopy { model, optimizer, memory: Some(memory), on_device, stream, arrived })
    }

    /// Takes back the memory of a copy that is no longer in use.
    pub(crate) fn give_back(&mut self, memory: Option<Pinned>) {
        self.memory = memory;
    }

    /// Returns host memory of so many bytes; none if tensors are not copied.
    fn memory(&mut self, bytes: usize) -> Option<Pinned> {
        if self.way == Way::Shared {
            return None;
        }
        if let Some(memory) = self.memory.take().filter(|memory| memory.as_ref().len() == bytes) {
            return Some(memory);
        }
        Pinned::new(bytes, self.accelerator)
            .inspect_err(|error| {
                let warning = notice!(
                    "training waits while checkpoints are written, as the host has no {} MB of memory for a copy: {error}", bytes / 1_000_000;
                    "free memory of the machine, or raise --checkpoint-every"
                );
                tracing::warn!("{warning}");
                self.way = Way::Shared;
            })
            .ok()
    }

    /// Returns memory for a copy on the device, if it has room for one.
    fn room_on_device(&mut self, bytes: usize) -> Result<Option<Tensor>, Failure> {
        if self.way != Way::ByCopy {
            return Ok(None);
        }
        match torchkit::empty(&[bytes as i64], Kind::Uint8, self.accelerator) {
            Err(error) if error.is_out_of_memory => {
                tracing::debug!("checkpoints are copied straight to the host: {error}");
                self.way = Way::Directly; // the allocator would empty its cache each time
                Ok(None)
            }
            room => room.map(Some),
        }
    }

    /// Queues the copy to the host on a stream of its own, behind the present work of the compute stream.
    /// Returns the stream.
    fn copy_aside(&mut self, host: &Tensor, copy: &Tensor, compute: Stream) -> Result<Stream, Failure> {
        let copies = match self.copies {
            Some(copies) => copies,
            None => *self.copies.insert(compute.beside(self.accelerator)?),
        };
        let is_complete = Event::new(self.accelerator)?;
        is_complete.record(compute)?;
        is_complete.block(copies)?;
        copies.scope(|| torchkit::copy(host, copy))??;
        Ok(copies)
    }

    /// Returns the tensors themselves.
    fn shared(&self, model: &Named, optimizer: &Named) -> Result<HostCopy, Failure> {
        let [model, optimizer] = [model, optimizer]
            .map(|named| named.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect());
        let arrived = Event::new(self.accelerator)?;
        Ok(HostCopy { model, optimizer, memory: None, on_device: None, stream: Stream::of_cpu(), arrived })
    }
}

impl HostCopy {
    /// Returns whether the tensors are those of the training, which the next step changes.
    pub(crate) fn is_shared(&self) -> bool {
        self.memory.is_none()
    }

    /// Waits for the copies. Returns the tensors of the model, those of the optimizer, and the memory that
    /// they share, if they have some of their own.
    ///
    /// # Errors
    ///
    /// The device's failure.
    pub(crate) fn wait(self) -> Result<(Named, Named, Option<Pinned>), Failure> {
        // A thread that calls the driver without a device of its own would open a context on the first one.
        self.stream.make_current()?;
        self.arrived.wait()?;
        drop(self.on_device);
        Ok((self.model, self.optimizer, self.memory))
    }
}

/// The place of a tensor in the memory of all. The strides are those of the tensor, so that its bytes are
/// copied as they lie.
#[derive(Debug)]
struct Place {
    offset: usize,
    bytes: usize,
    kind: Kind,
    size: Vec<i64>,
    stride: Vec<i64>,
}

impl Place {
    fn end(&self) -> usize {
        self.offset + self.bytes
    }

    /// Returns the tensor at this place of a memory (bytes).
    fn of(&self, memory: &Tensor) -> Tensor {
        let bytes = memory.narrow(0, self.offset as i64, self.bytes as i64);
        bytes.view_dtype(self.kind).as_strided(&self.size, &self.stride, None)
    }
}

/// Returns places for tensors, one behind the other.
fn places<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Vec<Place> {
    /// Suits every kind, and the copies of a device.
    const ALIGNMENT: usize = 256;
    let mut offset = 0;
    let place = |tensor: &Tensor| {
        let (kind, size) = (tensor.kind(), tensor.size());
        let bytes = tensor.numel() * kind.elt_size_in_bytes();
        let stride = if is_dense(tensor) { tensor.stride() } else { contiguous(&size) };
        let place = Place { offset, bytes, kind, size, stride };
        offset = place.end().next_multiple_of(ALIGNMENT);
        place
    };
    tensors.map(place).collect()
}

/// Returns whether the elements of a tensor lie one behind the other, in some order of its dimensions.
fn is_dense(tensor: &Tensor) -> bool {
    let mut dimensions: Vec<_> =
        iter::zip(tensor.stride(), tensor.size()).filter(|&(_, size)| size != 1).collect();
    dimensions.sort_unstable();
    let mut expected = 1;
    dimensions.into_iter().all(|(stride, size)| {
        let is_next = stride == expected;
        expected *= size;
        is_next
    })
}

/// Returns the strides of a contiguous tensor.
fn contiguous(size: &[i64]) -> Vec<i64> {
    let mut strides: Vec<_> =
        size.iter().rev().scan(1, |next, &size| Some(std::mem::replace(next, *next * size.max(1)))).collect();
    strides.reverse();
    strides
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use pipeline::Preset;
    use shards::Position;
    use tch::Device;

    use super::*;
    use crate::{
        checkpoint::{Checkpoints, DataIdentity, Job, Loaded, Retention, State, Writer},
        config::Config,
        testing::fake_device::{Fake, fake},
    };

    fn job(place: &std::path::Path, copy: HostCopy) -> Job {
        let data = DataIdentity { digest: 1, samples: 10 };
        let config = Config::preset(Preset::C10);
        let state = State {
            step: 7,
            position: Position::default(),
            data,
            classes: None,
            class_names: vec![],
            config,
        };
        let retention = Retention { keep: 2, keep_every: 0 };
        Job { checkpoints: Checkpoints::of(place), state, copy, retention, due: Instant::now() }
    }

    fn named(name: &str, tensor: &Tensor) -> Named {
        [(name.to_owned(), tensor.shallow_clone())].into()
    }

    /// The state after step 7 is saved while the device is busy with earlier work, and steps that are queued
    /// later change every tensor.
    #[test]
    fn a_checkpoint_that_is_taken_while_the_device_lags_has_the_state_of_its_step() {
        let _alone = Fake::alone();
        (fake().delays)(2_000, 0);
        let of = Some(fake().accelerator);
        for way in [Way::ByCopy, Way::Directly] {
            let place = tempfile::tempdir().unwrap();
            Stream::new(of).unwrap().make_current().unwrap();
            let on_device = || torchkit::empty(&[3, 5], Kind::Float, of).unwrap();
            let (weight, moment) = (on_device(), on_device());
            let value = |value: f64| Tensor::full([3, 5], value, (Kind::Float, Device::Cpu));
            let steps: Vec<_> = (0..20).map(|step| value(f64::from(step))).collect();
            let make_step = |step: usize| {
                torchkit::copy(&weight, &steps[step]).unwrap();
                torchkit::copy(&moment, &steps[step + 10]).unwrap();
            };
            let mut host_copies = HostCopies { way, ..HostCopies::new(of, true) };
            let mut writer = Writer::default();
            (fake().hold)(60_000);
            make_step(7);
            let copy = host_copies.take(&named("weight", &weight), &named("moment", &moment)).unwrap();
            writer.begin(job(place.path(), copy)).unwrap();
            make_step(8);
            make_step(9);
            let later = Event::new(of).unwrap();
            later.record(Stream::current(of).unwrap()).unwrap();
            let is_held = !later.has_passed().unwrap();
            let is_written = writer.collect().unwrap().is_some();
            (fake().let_go)();
            let written = writer.finish().unwrap().unwrap();
            later.wait().unwrap();
            assert!(is_held && !is_written, "{way:?}: the host waited for the device");
            let loaded = Checkpoints::of(place.path()).latest().unwrap().unwrap();
            let (model, optimizer) = (named("weight", &value(0.0)), named("moment", &value(0.0)));
            loaded.restore_model(&model).unwrap();
            loaded.restore_optimizer(&optimizer).unwrap();
            assert!(model["weight"].equal(&value(7.0)), "{way:?}: {:?}", model["weight"]);
            assert!(optimizer["moment"].equal(&value(17.0)), "{way:?}: {:?}", optimizer["moment"]);
            host_copies.give_back(written.memory);
            assert!(host_copies.memory.is_some(), "the next copy has its memory");
        }
    }

    #[test]
    fn a_checkpoint_has_the_same_bytes_from_a_copy_on_the_host() {
        let floats = |size: &[i64]| {
            Tensor::arange(size.iter().product::<i64>(), (Kind::Float, Device::Cpu)).view(size)
        };
        let model: Named = [
            ("channels_last", floats(&[2, 4, 5, 3]).permute([0, 3, 1, 2])),
            ("transposed", floats(&[4, 7]).tr()),
            ("every_second", floats(&[3, 6]).slice(1, 0, 6, 2)),
            ("scalar", Tensor::from(7i64)),
            ("wide", floats(&[3]).to_kind(Kind::Double)),
            ("bytes", floats(&[5]).to_kind(Kind::Uint8)),
            ("empty", floats(&[0, 3])),
            ("one", floats(&[1, 3, 1]).transpose(0, 1)),
        ]
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .into();
        let optimizer = named("moment", &floats(&[9]));
        let files = [true, false].map(|is_queued| {
            let place = tempfile::tempdir().unwrap();
            let copy = HostCopies::new(None, is_queued).take(&model, &optimizer).unwrap();
            assert_eq!(copy.is_shared(), !is_queued);
            job(place.path(), copy).run().unwrap();
            let folder = place.path().join("checkpoints/step-00000007");
            Loaded::open(&folder).unwrap();
            ["model.safetensors", "optimizer.safetensors", "state.json"]
                .map(|file| std::fs::read(folder.join(file)).unwrap())
        });
        assert_eq!(files[0], files[1]);
    }
}
