//! Settings of the dataset.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::Result;
use pipeline::DecodeMode;
use serde::Serializer;
use shards::{Access, RemoteConfig, Shuffle, Source};

use crate::{
    numbers,
    servers::{self, ServerArgs, Size, Span},
    settings::{Heading, in_files_only, optional_text, path, patterns, settings, text, whole},
    usage,
};

settings! {
    /// Settings of the dataset.
    pub struct DataConfig {
        /// Shards to train on: 'train-<000..999>.tar', '{000..999}', '{a,b}', globs, @list.txt; several
        /// patterns are allowed; addresses on servers, too.
        #[serde(serialize_with = "without_queries")]
        shards: Vec<String> = Vec::new(), patterns().flag(Heading::Data, "PATTERN").free();
        /// Shards of the validation samples.
        #[serde(serialize_with = "without_queries")]
        val_shards: Vec<String> = Vec::new(), patterns().flag(Heading::Data, "PATTERN").free();
        /// Order of samples: global (random over all, for local SSDs), window:N (chunks of neighbours, mixed
        /// over N samples; for disks and remote mounts) or none (as in the shards).
        shuffle: Shuffle = Shuffle::default(), text::<Shuffle>().flag(Heading::Data, "HOW").default("window:16384");
        /// Divide each epoch into this number of equal spans, of which every batch takes the same number of
        /// samples.
        partitions: usize = 1, whole(numbers::PARTITIONS).flag(Heading::Data, "N")
            .default("one for each machine that the run begins on");
        /// How JPEGs are decoded: exact (as by Pillow, to the bit) or fast (chroma is resized as the file
        /// stores it).
        decode: DecodeMode = DecodeMode::default(), text::<DecodeMode>().flag(Heading::Data, "MODE").default("exact");
        /// Folder of the cache of shards on servers (s3://, gs://, az://, https://), which several runs may share.
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_dir: Option<PathBuf> = None, path().flag(Heading::Data, "DIR").free()
            .default("in the cache folder of the user");
        /// The most that this cache may take, such as 100GB.
        #[serde(skip_serializing_if = "Option::is_none", with = "optional_text")]
        cache_limit: Option<Size> = None, text::<Size>().flag(Heading::Data, "SIZE").free()
            .default("a tenth of the free space");
        /// Requests to servers at a time.
        remote_connections: usize = 32, whole(numbers::THREADS).flag(Heading::Data, "N").free();
        /// Time for which a server that does not answer any more is waited for, such as 90s or 2h.
        #[serde(with = "crate::settings::as_text")]
        remote_patience: Span = Span(600), text::<Span>().flag(Heading::Data, "TIME").default("10m").free();
        /// Options of stores, by the first part of their addresses: `[data.stores."s3://bucket"]` with `endpoint`,
        /// `region`, `allow_http` and others.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        stores: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new(), in_files_only().free();
    }
}

/// Writes patterns without the queries of web addresses, which may be secrets.
#[expect(clippy::ptr_arg, reason = "serde passes a reference to the field")]
fn without_queries<S: Serializer>(patterns: &Vec<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(patterns.iter().map(|pattern| shards::without_query(pattern)))
}

impl DataConfig {
    /// Returns how many of a set of `samples` an epoch has: all but the remainder of their division into
    /// partitions.
    pub(crate) fn samples_an_epoch(&self, samples: u64) -> u64 {
        samples - samples % self.partitions as u64
    }

    /// Opens the source of the shards that the patterns name, with the settings for servers.
    ///
    /// # Errors
    ///
    /// A pattern is invalid, names missing shards, or a server does not answer.
    pub(crate) fn source(&self, patterns: &[String]) -> shards::Result<Arc<dyn Source>> {
        servers::use_settings(self.servers());
        servers::source(patterns)
    }

    /// Checks the options of stores.
    pub(crate) fn check_servers(&self) -> Result<()> {
        Access::check(&self.servers()).map_err(|(prefix, error)| {
            usage!("`data.stores.\"{prefix}\"`: {error}"; "docs/guide/remote.md describes the options of stores")
        })
    }

    /// Replaces the settings for servers by the flags that are given.
    pub(crate) fn override_servers(&mut self, flags: &ServerArgs) {
        let ServerArgs { cache_dir, cache_limit, remote_connections, remote_patience } = flags.clone();
        self.cache_dir = cache_dir.or(self.cache_dir.take());
        self.cache_limit = cache_limit.or(self.cache_limit);
        self.remote_connections = remote_connections.unwrap_or(self.remote_connections);
        self.remote_patience = remote_patience.unwrap_or(self.remote_patience);
    }

    /// Returns the settings for shards on servers.
    fn servers(&self) -> RemoteConfig {
        RemoteConfig {
            cache: self.cache_dir.clone().or_else(servers::default_cache),
            limit: self.cache_limit.map(|size| size.0),
            connections: self.remote_connections,
            patience: self.remote_patience.duration(),
            stores: self.stores.clone(),
        }
    }

    /// Makes the patterns absolute, so that they name the same shards from every folder.
    pub fn make_absolute(&mut self) {
        for pattern in self.shards.iter_mut().chain(&mut self.val_shards) {
            *pattern = shards::absolute(pattern);
        }
    }
}
