//! The connections to the other processes.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use torchkit::{Failure, Group, Store};

use super::{
    launch::{Launch, Launcher},
    lost::Verdict,
    member::Member,
    texts,
};

/// The time within which all processes must come.
const START: Duration = Duration::from_secs(300);

/// The connections to the other processes.
#[derive(Debug)]
pub(super) struct Peers {
    /// All processes, by rank.
    pub(super) members: Vec<Member>,
    /// The group of joint operations on CPUs.
    group: Group,
    /// That of joint operations on CUDA devices as well, once there is one.
    on_devices: OnceLock<Group>,
    /// The group by which processes watch each other.
    pub(super) watched: Group,
    /// The time after which a process that does not answer is lost.
    pub(super) patience: Duration,
    /// Rank 0 may serve it.
    pub(super) store: Store,
    /// The step under way.
    step: AtomicU64,
    pub(super) verdict: Verdict,
    /// How the joint work has failed, once it has.
    pub(super) ending: OnceLock<Ending>,
}

/// A failure of the joint work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// The rank that was lost.
    pub(super) lost: Option<usize>,
    /// Whether the lead reports the error.
    pub(super) is_relayed: bool,
}

impl Peers {
    /// The time after which a joint operation fails by itself. Long waits are normal: for a process that reads its
    /// shards, or for the lead that saves. What ends a wait for a lost process is the watch.
    pub(super) const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

    /// Connects this process to all others.
    pub(super) fn meet(launch: &Launch, patience: Duration) -> Result<Self> {
        let (serves_store, restarts) = match launch.launcher {
            Launcher::Torchrun { restarts, serves_store } => (!serves_store && launch.rank == 0, restarts),
            Launcher::Variables | Launcher::Slurm => (launch.rank == 0, 0),
        };
        let store = Store::connect(&launch.host, launch.port, serves_store, START)?;
        // The agent of torchrun keeps its store when it restarts processes.
        let store = store.under(&format!("amdim-stream/{restarts}"));
        let (rank, size) = (launch.rank, launch.size);
        let starting = Group::gloo(&store.under("start"), rank, size, START)?;
        let own = serde_json::to_string(&Member::this(rank))?;
        let members = texts::gather(&starting, &own)?;
        let members = members.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>()?;
        let heard = (patience.saturating_sub(Duration::from_secs(1))).max(patience / 2);
        Ok(Self {
            members,
            watched: Group::gloo(&store.under("watch"), rank, size, heard)?,
            group: Group::gloo(&store.under("all"), rank, size, Self::LONGEST)?,
            on_devices: OnceLock::new(),
            patience,
            store,
            step: AtomicU64::new(0),
            verdict: Verdict::default(),
            ending: OnceLock::new(),
        })
    }

    /// Returns the group of joint operations.
    pub(super) fn group(&self) -> &Group {
        self.on_devices.get().unwrap_or(&self.group)
    }

    /// Connects the current CUDA devices of all processes.
    ///
    /// # Errors
    ///
    /// If there is no NCCL, or another process is lost.
    pub(super) fn connect_devices(&self) -> Result<(), Failure> {
        if self.on_devices.get().is_none() {
            let (rank, size) = (self.group.rank(), self.group.size());
            let group = Group::nccl(&self.store.under("devices"), rank, size, Self::LONGEST)?;
            let _ = self.on_devices.set(group);
        }
        Ok(())
    }

    /// Notes the step under way, which the others learn.
    pub(super) fn note_step(&self, step: u64) {
        self.step.store(step, Relaxed);
    }

    pub(super) fn step(&self) -> u64 {
        self.step.load(Relaxed)
    }

    /// Closes all connections, so that the others notice it and what waits for them here ends.
    pub(super) fn close(&self) {
        for group in [Some(&self.watched), Some(&self.group), self.on_devices.get()].into_iter().flatten() {
            if let Err(failure) = group.abort() {
                tracing::debug!("a group cannot be ended: {failure}");
            }
        }
    }
}
