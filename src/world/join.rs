//! The start of joint work.

use std::env;

use anyhow::{Context, Result};

use super::{
    joint::World,
    launch::Launch,
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
        watch::spawn(peers)?;
        Ok(Self::of(launch.rank, peers))
    }
}
