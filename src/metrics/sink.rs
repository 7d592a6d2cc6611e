//! Destinations of records.

use anyhow::Result;

use super::{histogram::Histogram, record::Record};

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

    /// Takes the scores of a step, by the part of the loss that they belong to.
    fn scores(&mut self, _step: u64, _scores: &[(&'static str, Histogram)]) {}
}
