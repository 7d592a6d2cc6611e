//! Numbers that the host asks a device for, and reads once they are there.

use tch::{Kind, Tensor};

use crate::{
    failure::Failure,
    memory::{Pinned, copy},
    stream::{Accelerator, Event, Stream},
};

/// Numbers on their way from a device to the host. Whoever waits for them waits for no work that was queued later, so that the
/// device has something to do meanwhile.
#[derive(Debug)]
pub struct Readback {
    /// On the host.
    values: Tensor,
    arrived: Event,
}

impl Readback {
    /// Queues the copy of numbers (n) of f32, behind the work of this thread's current stream. On the CPU they are there.
    pub fn queue(values: &Tensor, of: Option<Accelerator>) -> Result<Self, Failure> {
        let arrived = Event::new(of)?;
        if of.is_none() {
            return Ok(Self { values: values.shallow_clone(), arrived });
        }
        let bytes = 4 * values.numel();
        let on_host = Pinned::new(bytes, of)?.tensor(bytes).view_dtype(Kind::Float);
        copy(&on_host, values)?;
        arrived.record(Stream::current(of)?)?;
        Ok(Self { values: on_host, arrived })
    }

    /// The numbers, waited for.
    pub fn read(&self) -> Result<Vec<f64>, Failure> {
        self.arrived.wait()?;
        Vec::try_from(&self.values).map_err(|error: tch::TchError| Failure::new(error.to_string()))
    }
}
