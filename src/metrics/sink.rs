//! Destinations of records.

use anyhow::Result;

use super::{histogram::Histogram, record::Record};

/// A step that was made.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    /// Its number.
    pub step: u64,
    /// The images of all processes in its batch.
    pub images: u64,
    /// Batches that wait in host memory.
    pub ready: usize,
}

/// A destination of records.
pub trait Sink {
    /// Notes that a step was made, whether or not a record follows.
    fn step(&mut self, _made: Made) {}

    /// Writes a record.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn write(&mut self, record: &Record) -> Result<()>;

    /// Takes the scores of a step, by the part of the loss that they belong to.
    fn scores(&mut self, _step: u64, _scores: &[(&'static str, Histogram)]) {}
}
