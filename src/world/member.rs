//! A process among those that train together, as the others know it.

use std::fmt;

use rustix::system::uname;
use serde::{Deserialize, Serialize};

/// A process among those that train together, as the others know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The number of the process, from 0.
    pub rank: usize,
    /// The name of its machine.
    pub host: String,
    /// The number that its system gave it.
    pub pid: u32,
    /// The cores that it may use, by number.
    pub cores: Vec<usize>,
}

/// Returns the name of this machine.
pub fn host() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

impl Member {
    /// Describes this process.
    pub(super) fn this(rank: usize) -> Self {
        Self { rank, host: host(), pid: std::process::id(), cores: allowed_cores() }
    }

    /// Returns whether the other process computes on the same cores of the same machine.
    pub(super) fn shares_cores_with(&self, other: &Self) -> bool {
        self.host == other.host && self.cores == other.cores
    }
}

/// Returns the numbers of the cores that this process may use; none if the system does not say.
fn allowed_cores() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect()
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rank, host, pid, .. } = self;
        write!(f, "rank {rank} (process {pid} on {host})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_share_cores_if_they_may_use_the_same_ones_of_one_machine() {
        let this = Member::this(1);
        assert!(!this.cores.is_empty() && !this.host.is_empty());
        assert_eq!(this.to_string(), format!("rank 1 (process {} on {})", this.pid, this.host));
        assert!(this.shares_cores_with(&Member { rank: 0, pid: 7, ..this.clone() }));
        assert!(!this.shares_cores_with(&Member { host: "other".to_owned(), ..this.clone() }));
        assert!(!this.shares_cores_with(&Member { cores: Vec::new(), ..this.clone() }));
    }
}
