//! The end of joint work: in order, by a failure of this process, or by the loss of another one.

use std::{convert::Infallible, time::Duration};

use anyhow::Result;
use crossbeam::channel::{self, Receiver};
use torchkit::Failure;

use super::{joint::World, lost::Lost, peers::Ending, relayed::Relayed, watch};
use crate::hint::{self, WithHint};

impl World {
    /// Ends the joint work of this process. Returns the error with which it failed, or that of the process whose loss
    /// made it fail. The other processes are told the reason of a failure of this process, and then fail too.
    ///
    /// # Errors
    ///
    /// Those of `done`.
    pub fn conclude<T>(self, done: Result<T>) -> Result<T> {
        let Some(peers) = self.peers() else { return done };
        match &done {
            Ok(_) => {
                peers.verdict.end();
                // Nobody ends before all have come here, or others would take it for lost.
                if let Err(error) = self.wait() {
                    tracing::debug!("another process has ended before: {error}");
                }
                done
            }
            Err(error) if hint::find::<Relayed>(error).is_some() => {
                peers.verdict.end();
                let _ = peers.ending.set(Ending { lost: None, is_relayed: true });
                done
            }
            Err(error) => {
                if let Some(lost) = self.lost(error) {
                    let hint = lost.hint();
                    let _ = peers.ending.set(Ending { lost: Some(lost.member.rank), is_relayed: false });
                    return Err(lost).with_hint(|| hint);
                }
                peers.verdict.end();
                watch::leave_reason(peers, &hint::causes(error));
                peers.close();
                let _ = peers.ending.set(Ending { lost: None, is_relayed: false });
                done
            }
        }
    }

    /// Waits, before this process ends, until the others know what they want to know of its failure, if it has failed.
    pub fn linger(self) {
        if let Some((peers, &ending)) = self.peers().and_then(|peers| Some((peers, peers.ending.get()?))) {
            watch::linger(peers, ending);
        }
    }

    /// Returns the process whose loss made a joint operation fail with this error; none if it has another cause.
    pub fn lost(self, error: &anyhow::Error) -> Option<Lost> {
        /// The time within which the loss is known that an operation noticed first.
        const KNOWN: Duration = Duration::from_secs(3);
        let peers = self.peers()?;
        if let Some(lost) = hint::find::<Lost>(error) {
            return Some(lost.clone());
        }
        // Other errors are this process's own, even if another process has ended meanwhile.
        let failure = hint::find::<Failure>(error)?;
        peers.verdict.wait(if failure.network.is_some() { peers.patience + KNOWN } else { Duration::ZERO })
    }

    /// Returns a channel that is disconnected when a process is lost.
    pub fn lost_channel(self) -> Receiver<Infallible> {
        self.peers().map_or_else(channel::never, |peers| peers.verdict.channel())
    }

    /// Checks that no process was lost so far.
    ///
    /// # Errors
    ///
    /// The process that was lost.
    pub fn check(self) -> Result<()> {
        let lost = self.peers().and_then(|peers| peers.verdict.wait(Duration::ZERO));
        lost.map_or(Ok(()), |lost| Err(lost.into()))
    }
}
