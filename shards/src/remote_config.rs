//! Settings for shards on servers.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// How shards on servers are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteConfig {
    /// The folder of the cache, created if missing. Several processes may share it.
    pub cache: Option<PathBuf>,
    /// The bytes that the cache may take; by default a tenth of the free space.
    pub limit: Option<u64>,
    /// The number of requests at a time.
    pub connections: usize,
    /// The time for which a server that has answered before is waited for.
    pub patience: Duration,
    /// Options of stores, by the first part of the addresses that they apply to, such as `s3://bucket`.
    pub stores: BTreeMap<String, BTreeMap<String, String>>,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            cache: None,
            limit: None,
            connections: 32,
            patience: Duration::from_secs(600),
            stores: BTreeMap::new(),
        }
    }
}
