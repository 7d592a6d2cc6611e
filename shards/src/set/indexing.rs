//! Indexing of all shards of a set, by several threads and with a cache.

use std::{
    num::NonZero,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    Result, ShardName, Source, Stamp,
    cache::{self, CacheEntry},
    index::{self, ShardIndex},
    source::Parts,
};

/// How shards are indexed.
#[derive(Debug, Clone, Default)]
pub struct IndexConfig {
    /// The folder in which indices are kept between runs, created if missing. With `None` all headers are
    /// read every time.
    pub cache: Option<PathBuf>,
    /// The number of shards read at a time. 0 stands for [`index_threads`] of the available cores: a disk is
    /// fastest when it has many requests at a time.
    pub threads: usize,
}

/// Returns the default number of indexing threads for a number of cores: eight a core, at most 64. Each has
/// up to two files open.
pub fn index_threads(cores: usize) -> usize {
    (8 * cores).min(64)
}

/// Reads the indices of all shards.
///
/// # Errors
/// The first error, in the order of the shards, of those that the threads met.
pub(super) fn read_indices(
    source: &dyn Source,
    names: &[ShardName],
    config: &IndexConfig,
) -> Result<Vec<(Stamp, ShardIndex)>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let usual = || source.parts().map_or(index_threads(cores), Parts::connections);
    let threads = if config.threads == 0 { usual() } else { config.threads };
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(names.len()));
    let work = || {
        while let Some((number, name)) = take(&next, names) {
            let result = read_index(source, name, config);
            if result.is_err() {
                next.store(names.len(), Ordering::Relaxed); // stops the other threads
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(names.len()) {
            // If the system allows no more threads, the present ones do the work.
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

fn take<'a>(next: &AtomicUsize, names: &'a [ShardName]) -> Option<(usize, &'a ShardName)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    Some((number, names.get(number)?))
}

pub(super) fn read_index(
    source: &dyn Source,
    name: &ShardName,
    config: &IndexConfig,
) -> Result<(Stamp, ShardIndex)> {
    let entry = |stamp| Some(CacheEntry::new(config.cache.as_deref()?, source.identity(name)?, stamp));
    let stamp = source.stamp(name)?;
    if let Some(index) = entry(stamp).and_then(|entry| entry.load()) {
        return Ok((stamp, index));
    }
    if let Some(parts) = source.parts()
        && let Some(bytes) = parts.index(name)?
    {
        if let Some(index) = cache::decode_beside(&bytes, stamp.size) {
            if let Some(entry) = entry(stamp) {
                entry.store(&index);
            }
            return Ok((stamp, index));
        }
        tracing::warn!("the index beside `{name}` does not fit the shard and is not used");
    } else if source.parts().is_some() {
        tracing::info!("`{name}` has no index beside it: all of it, {} bytes, is read once", stamp.size);
    }
    let shard = source.open(name)?;
    let index = index::scan(name, &shard)?;
    if let (Some(entry), true) = (entry(shard.stamp()), index.is_cacheable) {
        entry.store(&index);
    }
    Ok((shard.stamp(), index))
}
