//! The shards that are open at present.

use std::{
    collections::HashMap,
    io,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use super::catalog::Catalog;
use crate::{Shard, source::Parts};

/// The most shards kept open, enough for a large set in random order. Each costs a mapping but no file
/// descriptor.
const LIMIT: usize = 2048;

/// The most bytes of parts that are kept in memory, since the disk has no room for them.
const MEMORY: u64 = 256 << 20;

/// Bytes that are read before their pages are released: the system counts them as the process's memory, which
/// would otherwise grow to the size of the open shards.
const MAPPED: u64 = 40 << 20;
/// Bytes that are counted for a sample besides its image. The system maps up to 64 KB of neighbours with it;
/// counting all of them would release pages more often than it saves memory, since neighbours in a window
/// share them.
const AROUND: u64 = 16 << 10;

/// Opens shards of a set, or parts of them, and keeps those used last.
///
/// A shard that is closed here lives on in slices that were taken from it.
#[derive(Debug)]
pub(super) struct Opened {
    catalog: Arc<Catalog>,
    recent: Mutex<Recent>,
    /// Whether the reading is over, so that nothing is waited for any more.
    is_over: AtomicBool,
    /// Bytes read since pages were last released.
    mapped: AtomicU64,
}

/// The number of a shard, and the first byte of its part; 0 for whole shards.
type Part = (usize, u64);

/// The shards used last.
#[derive(Debug, Default)]
struct Recent {
    shards: HashMap<Part, Used>,
    /// The bytes of memory that they take.
    memory: u64,
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
        Self { catalog, recent: Mutex::default(), is_over: AtomicBool::new(false), mapped: AtomicU64::new(0) }
    }

    /// Returns the shard with this number, opening it if necessary.
    pub(super) fn get(&self, number: usize) -> io::Result<Arc<Shard>> {
        self.get_or_open((number, 0), || self.catalog.open_shard(number))
    }

    /// Returns the part of a shard that has these bytes, waiting for it if necessary.
    pub(super) fn part(&self, parts: &dyn Parts, number: usize, range: Range<u64>) -> io::Result<Arc<Shard>> {
        let Catalog { names, stamps, .. } = &*self.catalog;
        // A whole shard may be open, too: its first part must not take its place.
        let key = (names.len() + number, range.start);
        self.get_or_open(key, || parts.open(&names[number], stamps[number], range, &self.is_over))
    }

    /// Ends all waiting, now and later: what is not there yet gives an error.
    pub(super) fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    fn get_or_open(&self, part: Part, open: impl FnOnce() -> io::Result<Shard>) -> io::Result<Arc<Shard>> {
        if let Some(shard) = self.lock().find(part) {
            return Ok(shard);
        }
        // The lock is not held meanwhile. That two threads open the same shard at a time is rare and
        // harmless.
        let mut shard = open()?;
        shard.release_file();
        let shard = Arc::new(shard);
        let closed = self.lock().insert(part, Arc::clone(&shard));
        drop(closed); // unmapped outside of the lock, if nobody uses it
        Ok(shard)
    }

    /// Counts samples that were read. From time to time, closes parts that the cache has removed, which would take
    /// space beyond its limit, and releases the pages of all shards.
    pub(super) fn count_mapped(&self, samples: u64, bytes: u64) {
        let more = bytes + samples * AROUND;
        if self.mapped.fetch_add(more, Relaxed) + more < MAPPED {
            return;
        }
        self.mapped.store(0, Relaxed);
        let shards: Vec<_> =
            self.lock().shards.iter().map(|(&part, used)| (part, Arc::clone(&used.shard))).collect();
        for (part, shard) in shards {
            if part.0 >= self.catalog.names.len() && shard.is_removed() {
                self.lock().remove(part);
            } else {
                shard.release_pages();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn find(&mut self, part: Part) -> Option<Arc<Shard>> {
        self.uses += 1;
        let used = self.shards.get_mut(&part)?;
        used.last_use = self.uses;
        Some(Arc::clone(&used.shard))
    }

    /// Keeps a shard, and returns those that were removed for it.
    fn insert(&mut self, part: Part, shard: Arc<Shard>) -> Vec<Arc<Shard>> {
        let mut closed = Vec::new();
        while self.shards.len() >= LIMIT {
            let Some(shard) = self.close(|_| true) else { break };
            closed.push(shard);
        }
        self.memory += shard.memory();
        while self.memory > MEMORY {
            let Some(shard) = self.close(|shard| shard.memory() > 0) else { break };
            closed.push(shard);
        }
        self.shards.insert(part, Used { shard, last_use: self.uses });
        closed
    }

    /// Removes the one of these shards that was unused for longest.
    fn close(&mut self, may_close: impl Fn(&Shard) -> bool) -> Option<Arc<Shard>> {
        let candidates = self.shards.iter().filter(|(_, used)| may_close(&used.shard));
        let oldest = candidates.min_by_key(|(_, used)| used.last_use).map(|(&part, _)| part)?;
        self.remove(oldest)
    }

    fn remove(&mut self, part: Part) -> Option<Arc<Shard>> {
        let Used { shard, .. } = self.shards.remove(&part)?;
        self.memory -= shard.memory();
        Some(shard)
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
            assert!(recent.find((number, 0)).is_none());
            assert!(recent.insert((number, 0), shard()).is_empty());
        }
        assert!(recent.find((0, 0)).is_some());
        assert!(recent.find((LIMIT, 0)).is_none());
        assert_eq!(recent.insert((LIMIT, 0), shard()).len(), 1);
        assert!(recent.find((0, 0)).is_some());
        assert!(recent.find((1, 0)).is_none());
        assert_eq!(recent.shards.len(), LIMIT);
    }
}
