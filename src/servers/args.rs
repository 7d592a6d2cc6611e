//! The flags for shards on servers, for commands that read no settings of a run.

use std::path::PathBuf;

use shards::RemoteConfig;

use super::{access, size::Size, span::Span};
use crate::numbers;

/// How shards on servers are read.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Shards on servers")]
pub struct ServerArgs {
    /// Folder of the cache of shards on servers [default: in the cache folder of the user]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// The most that the cache may take, such as 100GB [default: a tenth of the free space]
    #[arg(long, value_name = "SIZE")]
    pub cache_limit: Option<Size>,
    /// Requests to servers at a time [default: 32]
    #[arg(long, value_name = "N", value_parser = numbers::THREADS.parser::<usize>())]
    pub remote_connections: Option<usize>,
    /// Time for which a server that does not answer any more is waited for, such as 90s or 2h [default: 10m]
    #[arg(long, value_name = "TIME")]
    pub remote_patience: Option<Span>,
}

impl ServerArgs {
    /// Uses these flags in this process.
    pub fn apply(&self) {
        let default = RemoteConfig::default();
        access::use_settings(RemoteConfig {
            cache: self.cache_dir.clone().or_else(access::default_cache),
            limit: self.cache_limit.map(|size| size.0),
            connections: self.remote_connections.unwrap_or(default.connections),
            patience: self.remote_patience.map_or(default.patience, Span::duration),
            stores: default.stores,
        });
    }
}
