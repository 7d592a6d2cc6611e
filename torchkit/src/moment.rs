//! Times of a device's work.

use std::time::{Duration, Instant};

use crate::{
    failure::Failure,
    stream::{Accelerator, Event, Stream},
};

/// The time at which a device has done the work that was queued before it. On the CPU, which queues nothing,
/// the time at which it was made.
#[derive(Debug)]
pub struct Moment {
    made: Instant,
    reached: Event,
}

impl Moment {
    /// Queues a moment behind the work of this thread's current stream.
    ///
    /// # Errors
    /// The device's failure.
    pub fn queue(of: Option<Accelerator>) -> Result<Self, Failure> {
        let reached = Event::timed(of)?;
        reached.record(Stream::current(of)?)?;
        Ok(Self { made: Instant::now(), reached })
    }

    /// Waits until both moments have passed, and returns the time from this one to `end`.
    ///
    /// # Errors
    /// The device's failure.
    pub fn until(&self, end: &Self) -> Result<Duration, Failure> {
        self.reached.wait()?;
        end.reached.wait()?;
        Ok(match self.reached.milliseconds_to(&end.reached)? {
            Some(milliseconds) => Duration::from_secs_f64(milliseconds.max(0.0) / 1e3),
            None => end.made.saturating_duration_since(self.made),
        })
    }
}
