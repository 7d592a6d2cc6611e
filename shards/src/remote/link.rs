//! What a process shares of its way to servers: connections, threads, cache and counters.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use object_store::{client::HttpConnector, path::Path};
use tokio::runtime::{Builder, Handle, Runtime};

use super::{
    address::Address,
    cache::Cache,
    failure::{Failure, FailureKind},
    object::{Host, Object, Version},
    options::{self, Credentials},
    stores,
    traffic::Counters,
    wire::{Connector, Shared},
};
use crate::{Error, RemoteConfig, Result, Stamp, Unavailable, hint::StoreKind};

/// The threads that fetch. Most of their time they wait.
const THREADS: usize = 2;

/// Objects by their address without secrets, with their versions once these are known.
type Objects = HashMap<Arc<str>, (Object, Option<Version>)>;

/// The way of a process to servers.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) config: RemoteConfig,
    pub(super) counters: Arc<Counters>,
    pub(super) cache: Option<Cache>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    /// The objects seen.
    objects: Mutex<Objects>,
    /// The versions of objects that were found to be replaced or removed.
    gone: Mutex<HashMap<Arc<str>, (Stamp, Failure)>>,
    /// `None` once it is being dropped.
    runtime: Option<Runtime>,
}

impl Link {
    /// Makes the way to servers. No connection is made yet.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub(crate) fn new(config: RemoteConfig) -> Result<Arc<Self>> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("shards-remote")
            .enable_all()
            .build()
            .map_err(|source| Error::Threads { source })?;
        let cache = config.cache.as_deref().and_then(|folder| open_cache(folder, &config));
        Ok(Arc::new(Self {
            counters: Arc::default(),
            cache,
            hosts: Mutex::default(),
            objects: Mutex::default(),
            gone: Mutex::default(),
            runtime: Some(runtime),
            config,
        }))
    }

    /// Returns the threads that fetch.
    pub(super) fn handle(&self) -> Handle {
        self.runtime.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }

    /// Returns the object at an address, which need not exist.
    ///
    /// # Errors
    /// The store's options are invalid.
    pub(super) fn object(&self, address: Address) -> Result<Object, Unavailable> {
        if let Some((object, _)) = self.objects().get(&address.shown) {
            return Ok(object.clone());
        }
        let host = self.host(&address)?;
        let failed = |failure: Failure| unavailable(&address, failure);
        let file = match &host.web {
            Some(client) => Some(stores::of_file(&address, Shared(client.clone())).map_err(failed)?),
            None => None,
        };
        let path = if file.is_some() { Ok(Path::default()) } else { Path::parse(&address.key) };
        let path = path.map_err(|error| {
            unavailable(&address, Failure::new(FailureKind::Final, error.to_string(), None))
        })?;
        let object = Object { address: address.clone(), host, file, path };
        self.objects().insert(address.shown, (object.clone(), None));
        Ok(object)
    }

    /// Returns the bucket or the web server of an address.
    pub(super) fn host(&self, address: &Address) -> Result<Arc<Host>, Unavailable> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let (table, options) = options::of_address(&self.config, &address.shown).unzip();
        let options = options.cloned().unwrap_or_default();
        let key = format!("{} {}", address.prefix, table.unwrap_or_default());
        if let Some(host) = hosts.get(&key) {
            return Ok(Arc::clone(host));
        }
        let credentials = options::credentials(address.kind);
        let connector = Connector::new(Arc::clone(&self.counters));
        let failed = |failure: Failure| unavailable(address, failure);
        let (bucket, web) = if address.kind == StoreKind::Web {
            let client = stores::of_web(&options).map_err(failed)?;
            let client =
                connector.connect(&client).map_err(|error| failed(Failure::of(&error, address.kind)))?;
            (None, Some(client))
        } else {
            (Some(stores::of_bucket(address, &options, &credentials, connector).map_err(failed)?), None)
        };
        let host = Arc::new(Host::new(address.prefix.clone(), bucket, web, credentials));
        hosts.insert(key, Arc::clone(&host));
        Ok(host)
    }

    /// Makes the client of a bucket anew, which reads its credentials again, or without credentials.
    pub(super) fn renew(&self, object: &Object, is_anonymous: bool) {
        let options = options::of_address(&self.config, &object.address.shown);
        let options = options.map(|(_, options)| options.clone()).unwrap_or_default();
        let credentials =
            if is_anonymous { Credentials::None } else { options::credentials(object.address.kind) };
        let connector = Connector::new(Arc::clone(&self.counters));
        if object.file.is_none()
            && let Ok(store) = stores::of_bucket(&object.address, &options, &credentials, connector)
        {
            *object.host.bucket.lock().unwrap_or_else(PoisonError::into_inner) = Some(store);
        }
    }

    /// Returns an object that was seen before, by its address without secrets.
    pub(super) fn seen(&self, shown: &str) -> Option<(Object, Option<Version>)> {
        self.objects().get(shown).cloned()
    }

    /// Returns why this version of an object is gone, if an earlier request has found that.
    pub(super) fn gone(&self, object: &Object, version: &Version) -> Option<Failure> {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.get(&object.address.shown)
            .filter(|(stamp, _)| *stamp == version.stamp())
            .map(|(_, failure)| failure.clone())
    }

    /// Remembers that a version of an object is gone.
    pub(super) fn remember_gone(&self, object: &Object, version: &Version, failure: Failure) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.insert(Arc::clone(&object.address.shown), (version.stamp(), failure));
    }

    /// Remembers the version of an object.
    pub(super) fn remember(&self, object: &Object, version: Version) {
        self.objects().insert(Arc::clone(&object.address.shown), (object.clone(), Some(version)));
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // requests that are under way are given up
        }
    }
}

/// Makes the error of an object that cannot be had.
pub(super) fn unavailable(address: &Address, failure: Failure) -> Unavailable {
    Unavailable { url: Arc::clone(&address.shown), reason: failure.reason, hint: failure.hint }
}

fn open_cache(folder: &std::path::Path, config: &RemoteConfig) -> Option<Cache> {
    match Cache::open(folder, config.limit) {
        Ok(cache) => Some(cache),
        Err(error) => {
            warn_of_cache(folder, &error);
            None
        }
    }
}

fn warn_of_cache(folder: &std::path::Path, error: &io::Error) {
    let folder = folder.display();
    tracing::warn!(
        "the cache folder `{folder}` cannot be used ({error}): what is read of servers is not kept"
    );
}
