//! The folder of the cache, and its limit.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    eviction,
    part::{self, PartId, TRAILER},
};
use crate::{Shard, Stamp};

/// The number of locks around fetching.
const LOCKS: u128 = 1024;
/// The share of the free space that the cache takes where no limit is given.
const SHARE: u64 = 10;

/// The cache in a folder.
///
/// The file `used` has the bytes that all processes have reserved together; it is read and written under its lock.
#[derive(Debug)]
pub(in super::super) struct Cache {
    folder: PathBuf,
    limit: AtomicU64,
    /// Whether the user has given the limit.
    is_given: bool,
    counter: Mutex<File>,
    /// The parts that this process still needs, each with the number of its users.
    pins: Arc<Mutex<HashMap<PartId, usize>>>,
    is_warned: AtomicBool,
}

/// Keeps a part in the cache.
#[derive(Debug)]
pub(in super::super) struct Pin {
    id: PartId,
    pins: Arc<Mutex<HashMap<PartId, usize>>>,
}

/// The lock around fetching of a part.
#[derive(Debug)]
pub(in super::super) enum Lock {
    /// Another process has it.
    Taken,
    /// This one has it, until the file is dropped. Where files have no locks, nobody else has it either.
    Held(#[expect(dead_code, reason = "what matters is when it is dropped")] Option<File>),
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = pins.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.id);
            }
        }
    }
}

impl Cache {
    /// Opens the cache in a folder, which is created if missing, and removes what killed processes left unfinished.
    /// Without a limit it may take a tenth of the space that is free, together with what it has.
    ///
    /// # Errors
    /// The folder cannot be created or read.
    pub(in super::super) fn open(folder: &Path, limit: Option<u64>) -> io::Result<Self> {
        fs::create_dir_all(folder.join("locks"))?;
        let mut options = OpenOptions::new();
        let used = options.read(true).write(true).create(true).truncate(false).open(folder.join("used"))?;
        eviction::remove_leftovers(folder)?;
        let cache = Self {
            folder: folder.to_owned(),
            limit: AtomicU64::new(u64::MAX),
            is_given: limit.is_some(),
            counter: Mutex::new(used),
            pins: Arc::default(),
            is_warned: AtomicBool::new(false),
        };
        let present = cache.recount()?;
        let limit = match limit {
            Some(limit) => limit,
            None => (free_space(folder)? + present) / SHARE,
        };
        cache.limit.store(limit, Relaxed);
        Ok(cache)
    }

    /// Returns the bytes that the cache may take.
    pub(in super::super) fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Makes room for so many bytes, if the user has given no limit and the disk has the space. Returns the limit if
    /// they do not fit.
    pub(in super::super) fn require(&self, bytes: u64) -> Result<(), u64> {
        let limit = self.limit();
        if bytes <= limit {
            return Ok(());
        }
        let present = self.used().unwrap_or(0);
        let has_space =
            || free_space(&self.folder).is_ok_and(|free| bytes <= free.saturating_add(present) / 10 * 9);
        if self.is_given || !has_space() {
            return Err(limit);
        }
        self.limit.fetch_max(bytes, Relaxed);
        Ok(())
    }

    /// Keeps a part in the cache until the pin is dropped.
    pub(in super::super) fn pin(&self, id: PartId) -> Pin {
        *self.pins().entry(id).or_insert(0) += 1;
        Pin { id, pins: Arc::clone(&self.pins) }
    }

    /// Returns whether a part is there, damaged or not.
    pub(in super::super) fn has(&self, id: PartId) -> bool {
        self.path(id).exists()
    }

    /// Opens a part. A damaged one is removed.
    ///
    /// # Errors
    /// It is not there, or [`io::ErrorKind::InvalidData`].
    pub(in super::super) fn part(&self, id: PartId, stamp: Stamp) -> io::Result<Shard> {
        let path = self.path(id);
        let opened = part::open(&path, id, stamp);
        if opened.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::NotFound) && path.exists() {
            tracing::debug!(path = %path.display(), "a part of the cache is damaged");
            if fs::remove_file(&path).is_ok() {
                self.release(id.len() + TRAILER);
            }
            return Err(io::ErrorKind::InvalidData.into());
        }
        opened
    }

    /// Stores a part. Returns whether it is there now: a full disk is no error. With `only_if_room`, nothing is removed
    /// for it.
    pub(in super::super) fn store(&self, id: PartId, content: &[u8], only_if_room: bool) -> bool {
        let size = content.len() as u64 + TRAILER;
        let path = self.path(id);
        if path.exists() {
            return true;
        }
        match self.reserve(size, only_if_room) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => return self.give_up(&error),
        }
        let folder = path.parent().unwrap_or(&self.folder);
        match fs::create_dir_all(folder).and_then(|()| part::write(&path, content)) {
            Ok(()) => true,
            Err(error) => {
                self.release(size);
                self.give_up(&error)
            }
        }
    }

    /// Takes the lock around fetching of a part.
    pub(in super::super) fn try_lock(&self, id: PartId) -> Lock {
        let number = id.number() % LOCKS;
        let file = File::create(self.folder.join("locks").join(format!("{number:03x}"))).ok();
        match file.as_ref().map(File::try_lock) {
            Some(Err(fs::TryLockError::WouldBlock)) => Lock::Taken,
            Some(Ok(())) => Lock::Held(file),
            Some(Err(fs::TryLockError::Error(_))) | None => Lock::Held(None),
        }
    }

    /// Reserves space, removing parts for it if necessary. Returns whether there is space.
    fn reserve(&self, size: u64, only_if_room: bool) -> io::Result<bool> {
        let limit = self.limit();
        self.locked(|counter| {
            let mut used = counted(counter)?;
            if used.saturating_add(size) > limit {
                if only_if_room {
                    return Ok(false);
                }
                let kept: HashSet<String> = self.pins().keys().map(|id| id.name()).collect();
                let target = (limit / 10 * 9).min(limit.saturating_sub(size));
                used = eviction::evict(&self.folder, target, &kept)?;
            }
            let fits = used.saturating_add(size) <= limit;
            set(counter, if fits { used + size } else { used })?;
            Ok(fits)
        })
    }

    /// Gives reserved space back.
    fn release(&self, size: u64) {
        self.locked(|counter| set(counter, counted(counter)?.saturating_sub(size))).ok();
    }

    /// Counts what is there.
    fn recount(&self) -> io::Result<u64> {
        self.locked(|counter| {
            let used = eviction::evict(&self.folder, u64::MAX, &HashSet::new())?;
            set(counter, used)?;
            Ok(used)
        })
    }

    /// Returns the bytes that all processes have reserved.
    fn used(&self) -> io::Result<u64> {
        self.locked(counted)
    }

    /// Works on the counter of bytes while no other thread or process does.
    fn locked<R>(&self, work: impl FnOnce(&File) -> io::Result<R>) -> io::Result<R> {
        let file = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        file.lock().ok(); // not every file system has locks
        let result = work(&file);
        file.unlock().ok();
        result
    }

    /// Goes on without storing. A full disk lowers the limit to what is there.
    fn give_up(&self, error: &io::Error) -> bool {
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if is_full && let Ok(used) = self.used() {
            self.limit.fetch_min(used.max(1), Relaxed);
        }
        if !self.is_warned.swap(true, Relaxed) {
            let folder = self.folder.display();
            tracing::warn!(
                "cannot write to the cache folder `{folder}`: {error}; what does not fit is fetched again"
            );
        }
        false
    }

    fn path(&self, id: PartId) -> PathBuf {
        let name = id.name();
        self.folder.join(&name[..2]).join(name)
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<PartId, usize>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the counter of the bytes that all processes have reserved.
fn counted(counter: &File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    match counter.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(u64::from_le_bytes(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        Err(error) => Err(error),
    }
}

/// Sets the counter.
fn set(counter: &File, used: u64) -> io::Result<()> {
    counter.write_all_at(&used.to_le_bytes(), 0)
}

/// Returns the bytes that are free for this user on the disk of a folder.
fn free_space(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
