//! The shards that are open at present.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::catalog::Catalog;
use crate::Shard;

/// The most shards kept open, enough for a large set in random order. Each costs a mapping but no file
/// descriptor.
const LIMIT: usize = 2048;

/// Bytes that are read before their pages are released: the system counts them as the process's memory, which
/// would otherwise grow to the size of the open shards.
const MAPPED: u64 = 40 << 20;
/// Bytes that are counted for a sample besides its image. The system maps up to 64 KB of neighbours with it;
/// counting all of them would release pages more often than it saves memory, since neighbours in a window
/// share them.
const AROUND: u64 = 16 << 10;

/// Opens shards of a set and keeps those used last.
///
/// A shard that is closed here lives on in slices that were taken from it.
#[derive(Debug)]
pub(super) struct Opened {
    catalog: Arc<Catalog>,
    recent: Mutex<Recent>,
    /// Bytes read since pages were last released.
    mapped: AtomicU64,
}

/// The shards used last.
#[derive(Debug, Default)]
struct Recent {
    shards: HashMap<usize, Used>,
    /// The number of uses of all shards.
    uses: u64,
}

/// An open shard, and the number of its last use.
#[derive(Debug)]
struct Used {
    shard: Arc<Shard>,
    last_use: u64,
}

impl Opened {
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog, recent: Mutex::default(), mapped: AtomicU64::new(0) }
    }

    /// Returns the shard with this number, opening it if necessary.
    pub(super) fn get(&self, number: usize) -> io::Result<Arc<Shard>> {
        if let Some(shard) = self.lock().find(number) {
            return Ok(shard);
        }
        // The lock is not held meanwhile. That two threads open the same shard at a time is rare and
        // harmless.
        let mut shard = self.catalog.open_shard(number)?;
        shard.release_file();
        let shard = Arc::new(shard);
        let evicted = self.lock().insert(number, Arc::clone(&shard));
        drop(evicted); // unmapped outside of the lock, if nobody uses it
        Ok(shard)
    }

    /// Counts samples that were read, and releases the pages of all shards from time to time.
    pub(super) fn count_mapped(&self, samples: u64, bytes: u64) {
        let more = bytes + samples * AROUND;
        if self.mapped.fetch_add(more, Relaxed) + more < MAPPED {
            return;
        }
        self.mapped.store(0, Relaxed);
        let shards: Vec<_> = self.lock().shards.values().map(|used| Arc::clone(&used.shard)).collect();
        for shard in shards {
            shard.release_pages();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn find(&mut self, number: usize) -> Option<Arc<Shard>> {
        self.uses += 1;
        let used = self.shards.get_mut(&number)?;
        used.last_use = self.uses;
        Some(Arc::clone(&used.shard))
    }

    /// Keeps a shard, and returns the one that was removed for it.
    fn insert(&mut self, number: usize, shard: Arc<Shard>) -> Option<Arc<Shard>> {
        let oldest = self.shards.iter().min_by_key(|(_, used)| used.last_use).map(|(&number, _)| number);
        let evicted =
            oldest.filter(|_| self.shards.len() >= LIMIT).and_then(|oldest| self.shards.remove(&oldest));
        self.shards.insert(number, Used { shard, last_use: self.uses });
        evicted.map(|used| used.shard)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::indexing::IndexConfig, *};

    /// Returns the KB of the file that are mapped into the process.
    #[cfg(target_os = "linux")]
    fn resident_kb(path: &std::path::Path) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let of_file = maps.lines().skip_while(|line| !line.ends_with(path.to_str().unwrap()));
        let line = of_file.into_iter().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn pages_are_released_after_enough_bytes_and_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let image: Vec<u8> = (0..2_000_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let mut writer = crate::ShardWriter::create(&path).unwrap();
        writer.append("0", &[("jpg", &image)]).unwrap();
        writer.finish().unwrap();
        let source = Arc::new(crate::LocalSource::new(&[path.display().to_string()]).unwrap());
        let catalog = Arc::new(Catalog::read(source, &IndexConfig::default()).unwrap());
        let opened = Opened::new(catalog);
        let shard = opened.get(0).unwrap();
        let slice = shard.slice(512..512 + 2_000_000).unwrap();
        assert!(slice[..] == image[..] && resident_kb(&path) >= 1_900);
        opened.count_mapped(1, MAPPED - AROUND - 1);
        assert!(resident_kb(&path) >= 1_900, "pages were released too early");
        opened.count_mapped(1, 0);
        assert!(resident_kb(&path) < 100, "{} KB are left", resident_kb(&path));
        assert!(slice[..] == image[..], "the bytes differ after the release");
    }

    fn shard() -> Arc<Shard> {
        Arc::new(Shard::in_memory(bytes::Bytes::new()))
    }

    #[test]
    fn the_shard_that_was_unused_for_longest_is_closed_first() {
        let mut recent = Recent::default();
        for number in 0..LIMIT {
            assert!(recent.find(number).is_none());
            assert!(recent.insert(number, shard()).is_none());
        }
        assert!(recent.find(0).is_some());
        assert!(recent.find(LIMIT).is_none());
        assert!(recent.insert(LIMIT, shard()).is_some());
        assert!(recent.find(0).is_some());
        assert!(recent.find(1).is_none());
        assert_eq!(recent.shards.len(), LIMIT);
    }
}
