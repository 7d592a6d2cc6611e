//! The indices of all shards of a set, read by several threads or taken from the cache.

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
    cache::CacheEntry,
    index::{self, ShardIndex},
};

/// How the index is made.
#[derive(Debug, Clone, Default)]
pub struct IndexConfig {
    /// The folder in which indices are kept between runs; made when missing. `None` reads all headers every time.
    pub cache: Option<PathBuf>,
    /// Shards read at a time; 0 for eight a core, since a disk is fastest when asked for much at a time, but no more than
    /// 64, each of which holds two files open.
    pub threads: usize,
}

/// Threads that index shards on so many cores, unless another number is asked for; each has a file open.
pub fn index_threads(cores: usize) -> usize {
    (8 * cores).min(64)
}

/// The indices of all shards, or the first error that a thread met.
pub(super) fn read_indices(
    source: &dyn Source,
    names: &[ShardName],
    config: &IndexConfig,
) -> Result<Vec<(Stamp, ShardIndex)>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if config.threads == 0 { index_threads(cores) } else { config.threads };
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(names.len()));
    let work = || {
        while let Some((number, name)) = take(&next, names) {
            let result = read_index(source, name, config);
            if result.is_err() {
                next.store(names.len(), Ordering::Relaxed); // the others need not go on
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(names.len()) {
            // Where the system allows no more threads, those that there are do.
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
    let shard = source.open(name)?;
    let index = index::scan(name, &shard)?;
    if let (Some(entry), true) = (entry(shard.stamp()), index.is_cacheable) {
        entry.store(&index);
    }
    Ok((shard.stamp(), index))
}
