//! A shard: its name, its version, and, once it is open, bytes that are proven readable before they are handed out.

use std::{
    fmt,
    fs::Metadata,
    io,
    ops::Range,
    os::unix::fs::{FileExt, MetadataExt},
    sync::Arc,
    time::UNIX_EPOCH,
};

use bytes::Bytes;

use crate::{encoded::Encoded, mapping::Mapping};

/// What a shard is called: for one on disk, its path as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardName(Arc<str>);

impl ShardName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without the folder that it lies in.
    pub fn base(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The name as the shared text that samples carry.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl<T: Into<Arc<str>>> From<T> for ShardName {
    fn from(name: T) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What tells one version of a shard from another without reading it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970; 0 where nobody knows. Programs can set it to any time.
    pub modified_ns: u64,
    /// When anything about its file last changed, in nanoseconds since 1970; 0 where nobody knows. Programs cannot set it: it
    /// tells of a shard that was written anew under an old time. It moves also when the file gets another name, other
    /// permissions or a link.
    pub changed_ns: u64,
    /// The number of its file, which another file under the same name does not have; 0 where there is none.
    pub inode: u64,
}

impl Stamp {
    /// The stamp of a file.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let nanoseconds = |seconds: i64, rest: i64| {
            let whole = u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000);
            whole.saturating_add(u64::try_from(rest).unwrap_or(0))
        };
        Self {
            size: metadata.len(),
            modified_ns: modified.map_or(0, |since| since.as_nanos() as u64),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    /// Whether size and time of writing are the same: so they are of a shard that was copied or got other permissions, and of
    /// one that somebody wrote anew and gave the old time.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        (self.size, self.modified_ns) == (other.size, other.modified_ns)
    }
}

/// An open shard.
///
/// Slices of it outlive it: they keep the mapping alive.
#[derive(Debug)]
pub struct Shard {
    bytes: Bytes,
    stamp: Stamp,
    mapping: Option<Arc<Mapping>>,
}

impl Shard {
    /// A shard that lies in memory for good.
    pub fn in_memory(bytes: Bytes) -> Self {
        let stamp = Stamp { size: bytes.len() as u64, ..Stamp::default() };
        Self { bytes, stamp, mapping: None }
    }

    /// A shard that is mapped from disk.
    pub(crate) fn mapped(mapping: Mapping, stamp: Stamp) -> Self {
        Self { bytes: mapping.bytes(), stamp, mapping: Some(Arc::new(mapping)) }
    }

    /// Bytes it had when it was opened.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether it had no bytes when it was opened.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Which version of the shard this is.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The bytes of `range`, which can be read without a fault at the time of the call.
    ///
    /// An error where the shard does not reach that far, or does no longer.
    pub fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        let range = self.check(range)?;
        if let Some(mapping) = &self.mapping {
            mapping.make_resident(range.clone())?;
        }
        Ok(self.bytes.slice(range))
    }

    /// The end of `slice`, itself a slice that ends at byte `end` of this shard, from byte `start` of this shard on.
    pub(crate) fn encoded(&self, slice: &Bytes, range: Range<u64>) -> Encoded {
        let bytes = slice.slice(slice.len() - (range.end - range.start) as usize..);
        match &self.mapping {
            Some(mapping) => Encoded::mapped(bytes, Arc::clone(mapping), range.start as usize),
            None => bytes.into(),
        }
    }

    /// Lets the system begin to read `range` without waiting for it.
    pub(crate) fn will_need(&self, range: Range<u64>) {
        if let (Some(mapping), Ok(range)) = (&self.mapping, self.check(range)) {
            mapping.will_need(range);
        }
    }

    /// Takes pages that were read out of the process's memory; slices of them stay valid.
    pub(crate) fn release_pages(&self) {
        if let Some(mapping) = &self.mapping {
            mapping.release_pages();
        }
    }

    /// Fills `target` with the bytes from `start` on, without mapping them where the file is at hand.
    pub(crate) fn read(&self, start: u64, target: &mut [u8]) -> io::Result<()> {
        let range = start..start.saturating_add(target.len() as u64);
        self.check(range.clone())?;
        match self.mapping.as_deref().and_then(Mapping::file) {
            Some(file) => file.read_exact_at(target, start),
            None => self.slice(range).map(|bytes| target.copy_from_slice(&bytes)),
        }
    }

    /// Gives the file descriptor back, before anything was taken from the shard; the mapping stays.
    pub(crate) fn release_file(&mut self) {
        if let Some(mapping) = self.mapping.as_mut().and_then(Arc::get_mut) {
            mapping.release_file();
        }
    }

    fn check(&self, range: Range<u64>) -> io::Result<Range<usize>> {
        if range.start <= range.end && range.end <= self.len() {
            return Ok(range.start as usize..range.end as usize);
        }
        let (end, length) = (range.end, self.len());
        let reason = format!("it would end at byte {end}, but the shard ends at byte {length}");
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason))
    }
}
