//! The way of this process to shards.

use std::{
    env,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use shards::{Access, RemoteConfig, Source, Traffic};

/// The settings, and the way to shards that was made with them.
static ACCESS: LazyLock<Mutex<Arc<Access>>> = LazyLock::new(|| {
    let config = RemoteConfig { cache: default_cache(), ..RemoteConfig::default() };
    Mutex::new(Arc::new(Access::new(config)))
});

/// Uses these settings for shards on servers from now on.
pub fn use_settings(config: RemoteConfig) {
    let mut access = ACCESS.lock().unwrap_or_else(PoisonError::into_inner);
    // Connections and versions of objects are kept as long as the settings are.
    if *access.config() != config {
        *access = Arc::new(Access::new(config));
    }
}

/// Opens the source of the shards that the patterns name: files, or objects on servers.
///
/// # Errors
///
/// A pattern is invalid, names missing shards, or a server does not answer.
pub fn source(patterns: &[String]) -> shards::Result<Arc<dyn Source>> {
    access().open(patterns)
}

/// Returns what this process has read from servers; `None` if it has read nothing from any.
pub fn traffic() -> Option<Traffic> {
    access().traffic()
}

/// Returns the way to shards.
pub fn access() -> Arc<Access> {
    Arc::clone(&ACCESS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Returns the folder for what can be made again, such as indices; none if the user has no home folder.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let ours = absolute("AMDIM_STREAM_CACHE");
    let users = || absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    ours.or_else(|| users().map(|cache| cache.join("amdim-stream")))
}

/// Returns the folder of the cache where none is given.
pub(crate) fn default_cache() -> Option<PathBuf> {
    cache_folder().map(|cache| cache.join("parts"))
}
