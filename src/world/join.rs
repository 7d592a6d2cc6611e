//! The start of joint work.

use std::env;

use anyhow::{Context, Result};

use super::{
    joint::World,
    launch::Launch,
    member::Member,
    peers::Peers,
    settings::{Together, WorldChoice},
    watch,
};
use crate::hint::WithHint;

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
        let peers = Peers::meet(launch, together.peer_timeout)
            .with_context(|| format!("cannot join the other processes ({launch})"))
            .with_hint(|| {
                "check that all processes run, that MASTER_ADDR and MASTER_PORT name the machine of rank 0, and that no \
                 firewall closes the ports between the machines"
            })?;
        let peers = Box::leak(Box::new(peers)); // for the rest of the process
        tracing::info!("all processes have come: {}", in_words(&peers.members));
        watch::spawn(peers)?;
        // Plain variables may leave it out.
        let is_given = ["LOCAL_RANK", "SLURM_LOCALID"].iter().any(|name| env::var_os(name).is_some());
        Ok(Self::of(launch.rank, is_given.then_some(launch.local_rank), peers))
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
