//! How long training waits for batches.

use std::{collections::VecDeque, time::Duration};

use torchkit::{Event, Failure};

/// How long training waited for batches: the device's own time where there is one, else the host's.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) host: Duration,
    /// The device's, as far as it is known.
    pub(super) device: Duration,
    /// Marks on the compute queue before and after each wait that may not be over.
    pub(super) marks: VecDeque<[Event; 2]>,
}

impl Waits {
    /// Adds the waits that are over.
    pub(super) fn collect(&mut self) -> Result<(), Failure> {
        while let Some([start, end]) = self.marks.front() {
            if !end.has_passed()? {
                break;
            }
            let milliseconds = start.milliseconds_to(end)?.unwrap_or(0.0);
            self.device += Duration::from_secs_f64(milliseconds.max(0.0) / 1e3);
            self.marks.pop_front();
        }
        Ok(())
    }
}
