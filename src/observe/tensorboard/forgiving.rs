//! Event files of a training that goes on without them if they cannot be written.

use anyhow::Result;

use super::board::TensorBoard;

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
