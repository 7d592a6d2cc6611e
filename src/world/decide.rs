//! Decisions that all processes make alike.

use anyhow::Result;
use tch::Tensor;
use torchkit::{ReduceOp, Reduction};

use super::{joint::World, peers::Peers};

impl World {
    /// Waits until all processes have come here.
    ///
    /// # Errors
    ///
    /// If another process is lost or does not answer.
    pub fn wait(self) -> Result<()> {
        self.any(false).map(drop)
    }

    /// Returns whether `claim` holds on any process: a decision after which all of them go the same way.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub fn any(self, claim: bool) -> Result<bool> {
        Ok(self.begin_largest(claim.into())?.wait()? != 0)
    }

    /// Begins to find the largest of the numbers of all processes.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub fn begin_largest(self, own: i64) -> Result<Largest> {
        let Some(group) = self.group() else { return Ok(Largest::Own(own)) };
        Ok(Largest::OfAll(group.begin_all_reduce(&Tensor::from_slice(&[own]), ReduceOp::Max)?))
    }
}

/// The largest of the numbers of all processes, which is on its way.
#[derive(Debug)]
pub enum Largest {
    /// There are no other processes.
    Own(i64),
    /// Of all processes.
    OfAll(Reduction),
}

impl Largest {
    /// Waits for the number.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub fn wait(self) -> Result<i64> {
        match self {
            Self::Own(number) => Ok(number),
            Self::OfAll(reduction) => Ok(reduction.wait(Peers::LONGEST)?.int64_value(&[0])),
        }
    }
}
