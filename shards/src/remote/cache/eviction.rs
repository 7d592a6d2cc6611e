//! Removal of the parts that were unused for longest.

use std::{
    collections::HashSet,
    fs::{self, DirEntry, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A file of the cache.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

/// Removes the parts that were unused for longest, until those that are left take at most `limit` bytes. Parts in
/// `kept` stay. Returns the bytes of what is left.
///
/// Only files with a name of the cache's own are counted and removed.
pub(super) fn evict(folder: &Path, limit: u64, kept: &HashSet<String>) -> io::Result<u64> {
    let mut entries = Vec::new();
    each_file(folder, |entry| {
        if is_part(&entry) || is_unfinished(&entry) {
            let metadata = entry.metadata()?;
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            entries.push(Entry { path: entry.path(), size: metadata.len(), used });
        }
        Ok(())
    })?;
    let mut left: u64 = entries.iter().map(|entry| entry.size).sum();
    entries.sort_by_key(|entry| entry.used);
    for Entry { path, size, .. } in entries {
        if left <= limit {
            break;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".part") && !kept.contains(&*name) && fs::remove_file(&path).is_ok() {
            left -= size;
        }
    }
    Ok(left)
}

/// Removes unfinished files of processes that have ended: nobody holds their lock.
pub(super) fn remove_leftovers(folder: &Path) -> io::Result<()> {
    each_file(folder, |entry| {
        if is_unfinished(&entry)
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            fs::remove_file(entry.path()).ok();
        }
        Ok(())
    })
}

/// Visits the files in the cache's own folders.
fn each_file(folder: &Path, mut visit: impl FnMut(DirEntry) -> io::Result<()>) -> io::Result<()> {
    for number in 0..=u8::MAX {
        let entries = match fs::read_dir(folder.join(format!("{number:02x}"))) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            match entry.and_then(&mut visit) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {} // another process may have removed it
            }
        }
    }
    Ok(())
}

fn is_part(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    name.strip_suffix(".part")
        .is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_unfinished(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    name.starts_with('.') && name.contains(".part.") && name.ends_with(".tmp")
}
