//! The time that training waits for batches.

use std::{collections::VecDeque, time::Duration};

use torchkit::{Event, Failure};

/// The time that training waited for batches, as the host and as the device measure it.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The time of the host.
    pub(super) host: Duration,
    /// The time of the device, over the waits that are known to be over.
    pub(super) device: Duration,
    /// The waits that may not be over.
    pub(super) open: VecDeque<Wait>,
}

/// A wait of the device: events on the compute stream before and after it.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) start: Event,
    pub(super) end: Event,
}

impl Waits {
    /// Adds the open waits that are over to the time of the device.
    pub(super) fn collect(&mut self) -> Result<(), Failure> {
        while let Some(Wait { start, end }) = self.open.front() {
            if !end.has_passed()? {
                break;
            }
            let milliseconds = start.milliseconds_to(end)?.unwrap_or(0.0);
            self.device += Duration::from_secs_f64(milliseconds.max(0.0) / 1e3);
            self.open.pop_front();
        }
        Ok(())
    }
}
