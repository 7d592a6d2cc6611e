//! Event files of a training that goes on without them if they cannot be written.

use anyhow::Result;

use super::{board::TensorBoard, tags};
use crate::metrics::{Histogram, Record, Sink};

/// An event file that training does not depend on. The first failure is a warning; what was not written is counted,
/// and told at the end.
#[derive(Debug)]
pub struct Forgiving {
    board: TensorBoard,
    dropped: u64,
}

impl Forgiving {
    /// Forgives the failures of an event file.
    pub fn new(board: TensorBoard) -> Self {
        Self { board, dropped: 0 }
    }

    /// Writes something. Returns whether it was written.
    pub fn write(&mut self, write: impl FnOnce(&mut TensorBoard) -> Result<()>) -> bool {
        let Err(error) = write(&mut self.board) else { return true };
        if self.dropped == 0 {
            tracing::warn!("{error:#}; training goes on, and `amdim-stream events` writes the records later");
        }
        self.dropped += 1;
        false
    }

    /// Returns how many records, images and histograms could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Sink for Forgiving {
    fn write(&mut self, record: &Record) -> Result<()> {
        self.write(|board| board.record(record));
        Ok(())
    }

    fn scores(&mut self, step: u64, scores: &[(&'static str, Histogram)]) {
        for (name, histogram) in scores {
            self.write(|board| board.histogram(step, &tags::of_scores(name), histogram));
        }
    }
}

impl Drop for Forgiving {
    fn drop(&mut self) {
        if self.dropped > 0 {
            tracing::warn!(
                "could not be written for TensorBoard: {} records, images and histograms",
                self.dropped
            );
        }
    }
}
