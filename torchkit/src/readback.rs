//! Numbers that are copied from a device to the host, and read once they have arrived.

use tch::Tensor;

use crate::{
    failure::Failure,
    memory::{Pinned, copy},
    stream::{Accelerator, Event, Stream},
};

/// Numbers on their way from a device to the host. Reading them waits for no work that was queued after them,
/// so that the device stays busy.
#[derive(Debug)]
pub struct Readback {
    /// The numbers on the host.
    values: Tensor,
    arrived: Event,
}

impl Readback {
    /// Queues a copy of numbers or bools (n) behind the work of this thread's current stream. On the CPU
    /// nothing is copied.
    ///
    /// # Errors
    /// The device's failure, or a lack of pinned memory.
    pub fn queue(values: &Tensor, of: Option<Accelerator>) -> Result<Self, Failure> {
        let arrived = Event::new(of)?;
        if of.is_none() {
            return Ok(Self { values: values.shallow_clone(), arrived });
        }
        let bytes = values.kind().elt_size_in_bytes() * values.numel();
        let on_host = Pinned::new(bytes, of)?.tensor(bytes).view_dtype(values.kind());
        copy(&on_host, values)?;
        arrived.record(Stream::current(of)?)?;
        Ok(Self { values: on_host, arrived })
    }

    /// Waits for the numbers and returns them; bools are 0 or 1.
    ///
    /// # Errors
    /// The device's failure.
    pub fn read(&self) -> Result<Vec<f64>, Failure> {
        self.arrived.wait()?;
        Vec::try_from(&self.values).map_err(|error: tch::TchError| Failure::new(error.to_string()))
    }
}
