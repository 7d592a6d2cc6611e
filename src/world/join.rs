//! The start of joint work.

use std::{convert::Infallible, env, thread, time::Duration};

use anyhow::{Context, Result};
use crossbeam::channel::{self, RecvTimeoutError, Sender};
use torchkit::{Failure, NetworkFault};

use super::{
    joint::World,
    launch::Launch,
    member::Member,
    peers::Peers,
    settings::{Together, WorldChoice},
    watch,
};
use crate::hint::WithHint;

const CHECK: &str = "check that all processes run, that MASTER_ADDR and MASTER_PORT name the machine of rank 0, and that no \
                     firewall closes the ports between the machines";
const FREE_PORT: &str =
    "set MASTER_PORT (of torchrun: --master-port) to a free port, the same for all processes";

impl World {
    /// Reads from the environment how this process was started ([`Launch::find`]). Returns `None` for a process without
    /// others.
    ///
    /// # Errors
    ///
    /// If the environment contradicts itself.
    pub fn launch(together: &Together) -> Result<Option<Launch>> {
        match together.world {
            WorldChoice::Alone => Ok(None),
            WorldChoice::Auto => Launch::find(|name| env::var(name).ok()),
        }
    }

    /// Waits until the processes with which this one was started have come, and returns its place among them. A process
    /// without others makes no connection.
    ///
    /// # Errors
    ///
    /// If another process does not come.
    pub fn join(launch: Option<&Launch>, together: &Together) -> Result<Self> {
        let Some(launch) = launch else { return Ok(Self::ALONE) };
        tracing::info!("{launch}");
        let waiting = Waiting::begin(launch)?;
        let peers = Peers::meet(launch, together.peer_timeout);
        drop(waiting);
        let failure = peers.as_ref().err().and_then(|error| error.downcast_ref::<Failure>());
        let is_taken = failure.is_some_and(|failure| failure.network == Some(NetworkFault::PortInUse));
        let hint = if is_taken { FREE_PORT } else { CHECK };
        let peers = peers
            .with_context(|| format!("cannot join the other processes ({launch})"))
            .with_hint(|| hint)?;
        let peers = Box::leak(Box::new(peers)); // for the rest of the process
        tracing::info!("all processes have come: {}", in_words(&peers.members));
        watch::spawn(peers)?;
        // Plain variables may leave it out.
        let is_given = ["LOCAL_RANK", "SLURM_LOCALID"].iter().any(|name| env::var_os(name).is_some());
        Ok(Self::of(launch.rank, is_given.then_some(launch.local_rank), peers))
    }
}

/// Tells the user once that this process waits for others. Dropping it ends the wait.
#[derive(Debug)]
struct Waiting {
    /// Nothing is sent: dropping it ends the thread.
    _met: Sender<Infallible>,
}

impl Waiting {
    /// The time in which processes that are started together usually come.
    const USUAL: Duration = Duration::from_secs(15);

    fn begin(launch: &Launch) -> Result<Self> {
        let (met, end) = channel::bounded::<Infallible>(0);
        let words =
            format!("still waiting for the other processes, at most five minutes ({launch}): {CHECK}");
        let rank = launch.rank;
        let wait = move || match end.recv_timeout(Self::USUAL) {
            Err(RecvTimeoutError::Timeout) if rank == 0 => tracing::warn!("{words}"),
            // The others log errors only.
            Err(RecvTimeoutError::Timeout) => tracing::error!("{words}"),
            _ => {}
        };
        thread::Builder::new().name("waiting".to_owned()).spawn(wait).context("cannot start a thread")?;
        Ok(Self { _met: met })
    }
}

/// Describes the machines: `4 on node1, 4 on node2`.
fn in_words(members: &[Member]) -> String {
    let mut machines: Vec<(&str, usize)> = Vec::new();
    for Member { host, .. } in members {
        match machines.iter_mut().find(|(other, _)| other == host) {
            Some((_, count)) => *count += 1,
            None => machines.push((host, 1)),
        }
    }
    let machines = machines.iter().map(|(host, count)| format!("{count} on {host}"));
    machines.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_counted_in_the_order_of_ranks() {
        let member = |host: &str| Member { rank: 0, host: host.to_owned(), pid: 1, cores: Vec::new() };
        assert_eq!(in_words(&["a", "a", "b"].map(member)), "2 on a, 1 on b");
    }
}
