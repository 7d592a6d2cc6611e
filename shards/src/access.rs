//! The way to shards, wherever they are.

use std::sync::Arc;
#[cfg(feature = "remote")]
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "remote")]
use crate::remote::{Fetcher, Link, RemoteSource};
use crate::{LocalSource, RemoteConfig, Result, Source, Traffic, pattern};

/// The way to shards: local files, and servers, whose connections and cache all users of this value share.
#[derive(Debug, Default)]
pub struct Access {
    config: RemoteConfig,
    /// Made when the first shard on a server is named.
    #[cfg(feature = "remote")]
    fetcher: Mutex<Option<Arc<Fetcher>>>,
}

impl Access {
    /// Makes the way to shards with these settings for servers.
    pub fn new(config: RemoteConfig) -> Self {
        Self {
            config,
            #[cfg(feature = "remote")]
            fetcher: Mutex::default(),
        }
    }

    /// Returns the settings for servers.
    pub fn config(&self) -> &RemoteConfig {
        &self.config
    }

    /// Checks the names of the options of stores, and that none of them is a secret.
    ///
    /// # Errors
    /// The prefix of a store, and what is wrong with its options, as a clause.
    pub fn check(config: &RemoteConfig) -> Result<(), (String, String)> {
        #[cfg(feature = "remote")]
        for (prefix, options) in &config.stores {
            crate::remote::check_options(prefix, options).map_err(|error| (prefix.clone(), error))?;
        }
        #[cfg(not(feature = "remote"))]
        let _ = config;
        Ok(())
    }

    /// Opens the source of the shards that the patterns name: local files (see [`expand`](crate::expand)), or objects
    /// on servers.
    ///
    /// Addresses of objects are `s3://bucket/name`, `gs://bucket/name`, `az://container/name` and those of web servers,
    /// `https://` and `http://`. Ranges and alternatives are written as in paths. Globs need a list of the objects,
    /// which web servers do not give. `@` may name a list on a server.
    ///
    /// # Errors
    /// A pattern is invalid, names missing shards, or a server does not answer.
    pub fn open(&self, patterns: &[String]) -> Result<Arc<dyn Source>> {
        if patterns.iter().any(|pattern| pattern::is_remote(pattern.trim_start_matches('@'))) {
            return self.open_remote(patterns);
        }
        let lines = pattern::lines(patterns)?;
        if lines.iter().any(|line| pattern::is_remote(line)) {
            return self.open_remote(&lines);
        }
        Ok(Arc::new(LocalSource::new(patterns)?))
    }

    #[cfg(not(feature = "remote"))]
    #[expect(clippy::unused_self, reason = "the signature is that of the other form")]
    fn open_remote(&self, patterns: &[String]) -> Result<Arc<dyn Source>> {
        let remote = patterns.iter().find(|pattern| pattern::is_remote(pattern.trim_start_matches('@')));
        let url = remote.cloned().unwrap_or_default();
        Err(crate::PatternError::NoFeature { url }.into())
    }

    #[cfg(feature = "remote")]
    fn open_remote(&self, patterns: &[String]) -> Result<Arc<dyn Source>> {
        let fetcher = self.fetcher()?;
        let mut lines = Vec::new();
        for pattern in patterns {
            match pattern.strip_prefix('@').filter(|list| pattern::is_remote(list)) {
                Some(list) => lines.extend(fetcher.lines(list)?),
                None => lines.extend(pattern::lines(std::slice::from_ref(pattern))?),
            }
        }
        if let Some(local) = lines.iter().find(|line| !pattern::is_remote(line)) {
            return Err(crate::PatternError::Mixed { local: local.clone() }.into());
        }
        let names = pattern::expand_remote(&lines)?;
        Ok(Arc::new(RemoteSource::open(fetcher, &names)?))
    }

    /// Returns what was read from servers; `None` if no shard on a server was named yet.
    pub fn traffic(&self) -> Option<Traffic> {
        #[cfg(feature = "remote")]
        return self
            .fetcher
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(|fetcher| fetcher.traffic());
        #[cfg(not(feature = "remote"))]
        None
    }

    #[cfg(feature = "remote")]
    fn fetcher(&self) -> Result<Arc<Fetcher>> {
        let mut fetcher = self.fetcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fetcher) = &*fetcher {
            return Ok(Arc::clone(fetcher));
        }
        let made = Fetcher::new(Link::new(self.config.clone())?);
        *fetcher = Some(Arc::clone(&made));
        Ok(made)
    }
}

/// Opens the source of the shards that the patterns name, with the usual settings for servers and without a cache:
/// see [`Access::open`].
///
/// ```no_run
/// use shards::{IndexConfig, ShardSet};
///
/// let source = shards::open(&["data/train-<000..146>.tar".to_owned()])?;
/// let set = ShardSet::open(source, &IndexConfig::default())?;
/// # Ok::<(), shards::Error>(())
/// ```
///
/// # Errors
///
/// A pattern is invalid, or names missing files.
pub fn open(patterns: &[String]) -> Result<Arc<dyn Source>> {
    Access::default().open(patterns)
}
