//! What waits for numbers of the device.

use std::time::Instant;

use torchkit::Readback;

use super::{drift::Comparison, trainer::PendingCheck};
use crate::checkpoint::{HostCopy, State};

/// Numbers of steps on their way to the host, and the checkpoint that waits for them.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) check: PendingCheck,
    /// The comparison of the tensors of all processes, where it is due.
    pub(super) comparison: Option<Comparison>,
    pub(super) checkpoint: Option<PendingCheckpoint>,
}

/// A checkpoint whose numbers may not be finite.
#[derive(Debug)]
pub(super) struct PendingCheckpoint {
    pub(super) step: u64,
    pub(super) due: Instant,
    /// 1 if all its numbers are finite, else 0.
    pub(super) is_finite: Readback,
    /// What is written. None on a process that does not lead.
    pub(super) contents: Option<(State, HostCopy)>,
}

impl Pending {
    /// Returns whether the next step would change the tensors of the checkpoint.
    pub(super) fn is_shared(&self) -> bool {
        let contents = self.checkpoint.as_ref().and_then(|checkpoint| checkpoint.contents.as_ref());
        contents.is_some_and(|(_, copy)| copy.is_shared())
    }
}
