//! Where records go.

use anyhow::Result;

use super::record::Record;

/// Takes what a run says of itself.
pub trait Sink {
    /// Hears of a step of which there is no record, or not yet.
    fn step(&mut self, _step: u64) {}

    /// Takes a record.
    fn write(&mut self, record: &Record) -> Result<()>;
}
