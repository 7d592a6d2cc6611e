//! Destinations of records.

use anyhow::Result;

use super::record::Record;

/// A destination of records.
pub trait Sink {
    /// Notes that a step was made, whether or not a record follows.
    fn step(&mut self, _step: u64) {}

    /// Writes a record.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn write(&mut self, record: &Record) -> Result<()>;
}
