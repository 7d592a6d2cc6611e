//! The served folder: its objects, their hashes, their names.

use std::{
    collections::HashMap,
    fs::{self, File},
    hash::{DefaultHasher, Hasher},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A file system's clock may stand still for so long: a file that was changed this shortly before it was hashed
/// can change again without another time.
const CLOCK_TICK: Duration = Duration::from_millis(100);

/// A folder whose files are objects.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// Hashes of files by their paths, so that a file is read once for its `ETag`.
    hashes: Mutex<HashMap<PathBuf, Hashed>>,
}

#[derive(Clone, Copy, Debug)]
struct Hashed {
    stamp: Stamp,
    /// When the file was about to be read.
    at: SystemTime,
    hash: u64,
}

/// What changes with the content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    /// Changes even if a program sets back the time of the last modification.
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the content cannot have changed since `time` without another stamp.
    fn is_older_than(&self, time: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let changed = UNIX_EPOCH + Duration::new(seconds.max(0) as u64, nanoseconds.max(0) as u32);
        changed + CLOCK_TICK < time
    }
}

/// An open file of the folder.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) file: File,
    pub(crate) length: u64,
    pub(crate) modified: SystemTime,
    /// A hash of the content and the length, without quotes.
    pub(crate) etag: String,
}

impl Folder {
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: root.canonicalize()?, hashes: Mutex::default() })
    }

    /// Opens an object; `None` if no file has this path below the folder.
    pub(crate) fn open(&self, path: &str) -> Option<Object> {
        let path = self.place(path)?;
        let file = File::open(&path).ok()?;
        let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
        let hash = self.hash(path, &file, &metadata).ok()?;
        let (length, modified) = (metadata.len(), metadata.modified().ok()?);
        Some(Object { file, length, modified, etag: format!("{hash:016x}{length:016x}") })
    }

    /// Whether a bucket is a folder here.
    pub(crate) fn has_bucket(&self, bucket: &str) -> bool {
        self.place(bucket).is_some_and(|place| place.is_dir())
    }

    /// Returns the keys of all objects of a bucket, in the order of their bytes.
    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        let mut keys = Vec::new();
        if let Some(place) = self.place(bucket) {
            collect(&place, "", &mut keys);
        }
        keys.sort_unstable();
        keys
    }

    /// Returns the place of a path in the file system. A path with an empty part or one of dots has none, since
    /// object stores do not take it for a shorter path.
    fn place(&self, path: &str) -> Option<PathBuf> {
        let is_name = |part: &str| !matches!(part, "" | "." | "..");
        path.split('/').all(is_name).then(|| self.root.join(path))
    }

    /// Returns the hash of a file's content, which is read if it may differ from the known one.
    fn hash(&self, path: PathBuf, file: &File, metadata: &fs::Metadata) -> io::Result<u64> {
        let stamp = Stamp::of(metadata);
        let known = self.hashes.lock().unwrap_or_else(PoisonError::into_inner).get(&path).copied();
        if let Some(known) = known.filter(|known| known.stamp == stamp && stamp.is_older_than(known.at)) {
            return Ok(known.hash);
        }
        let at = SystemTime::now();
        let hash = hash(file)?;
        let hashed = Hashed { stamp, at, hash };
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner).insert(path, hashed);
        Ok(hash)
    }
}

fn hash(mut file: &File) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            length => hasher.write(&piece[..length]),
        }
    }
}

/// Collects the paths of the files in a folder, with a prefix. Names that are not UTF-8 are left out.
fn collect(folder: &Path, prefix: &str, keys: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let (path, key) = (entry.path(), format!("{prefix}{name}"));
        if path.is_dir() {
            collect(&path, &format!("{key}/"), keys);
        } else if path.is_file() {
            keys.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_only_if_it_may_have_changed() {
        let root = std::env::temp_dir().join(format!("store-server-folder-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("a"), "content").unwrap();
        let folder = Folder::new(&root).unwrap();
        let right = folder.open("a").unwrap().etag;
        let remember = |at: SystemTime| {
            let path = folder.root.join("a");
            let stamp = Stamp::of(&fs::metadata(&path).unwrap());
            folder.hashes.lock().unwrap().insert(path, Hashed { stamp, at, hash: 0x11 });
        };
        remember(SystemTime::now() + Duration::from_secs(1));
        let remembered = folder.open("a").unwrap().etag;
        remember(fs::metadata(root.join("a")).unwrap().modified().unwrap());
        let read_again = folder.open("a").unwrap().etag;
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(remembered, format!("{:016x}{:016x}", 0x11, 7));
        assert_eq!(read_again, right);
    }
}
