//! A shard: its name, its version and, once it is open, its bytes.

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
use serde::{Deserialize, Serialize};

use crate::{encoded::Encoded, mapping::Mapping};

/// The name of a shard; for a file its path as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardName(Arc<str>);

impl ShardName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name without its folder.
    pub fn base(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Returns the name as the shared text that samples carry.
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

/// The version of a shard, known without reading it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The size in bytes.
    pub size: u64,
    /// The time of the last write in nanoseconds since 1970; 0 if unknown. Programs can set it to any time.
    pub modified_ns: u64,
    /// The time of the last change of the file's metadata in nanoseconds since 1970; 0 if unknown. Programs
    /// cannot set it, so it reveals a shard that was rewritten with its old time. It also changes when the
    /// file gets another name, other permissions or a link.
    pub changed_ns: u64,
    /// The inode number, which differs from that of another file of the same name; 0 if there is none.
    pub inode: u64,
    /// A hash of the entity tag of an object on a server, which differs for every content; 0 for files.
    pub tag: u64,
}

impl Stamp {
    /// Returns the stamp of a file.
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
            tag: 0,
        }
    }

    /// Returns whether size, time of writing and tag are equal, as they are for a copy, for a shard with new
    /// permissions, and for a rewritten shard that was given its old time.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        (self.size, self.modified_ns, self.tag) == (other.size, other.modified_ns, other.tag)
    }
}

/// Reads byte ranges of a shard that lies elsewhere.
pub(crate) trait Ranges: fmt::Debug + Send + Sync {
    /// Returns the bytes of `range`, which lies within the shard.
    ///
    /// # Errors
    /// The bytes cannot be had.
    fn read(&self, range: Range<u64>) -> io::Result<Bytes>;
}

/// An open shard, or an open part of one.
///
/// Its slices outlive it: they keep the mapping alive.
#[derive(Debug)]
pub struct Shard {
    content: Content,
    /// The byte of the shard at which the content begins.
    start: u64,
    /// The size of the whole shard.
    size: u64,
    stamp: Stamp,
}

/// The bytes of a shard.
#[derive(Debug)]
enum Content {
    Memory(Bytes),
    Mapped(Bytes, Arc<Mapping>),
    /// Bytes that are fetched when they are asked for.
    #[cfg_attr(not(feature = "remote"), expect(dead_code, reason = "no shard lies elsewhere"))]
    Ranged(Arc<dyn Ranges>),
}

impl Shard {
    /// Makes a shard of bytes in memory.
    pub fn in_memory(bytes: Bytes) -> Self {
        let stamp = Stamp { size: bytes.len() as u64, ..Stamp::default() };
        Self { content: Content::Memory(bytes), start: 0, size: stamp.size, stamp }
    }

    /// Makes a shard of a mapped file.
    pub(crate) fn mapped(mapping: Mapping, stamp: Stamp) -> Self {
        let bytes = mapping.bytes();
        let size = bytes.len() as u64;
        Self { content: Content::Mapped(bytes, Arc::new(mapping)), start: 0, size, stamp }
    }

    /// Makes a shard whose bytes are fetched when they are asked for.
    #[cfg(feature = "remote")]
    pub(crate) fn ranged(ranges: Arc<dyn Ranges>, stamp: Stamp) -> Self {
        Self { content: Content::Ranged(ranges), start: 0, size: stamp.size, stamp }
    }

    /// Makes the part of a shard that begins at byte `start` and has these bytes.
    #[cfg(feature = "remote")]
    pub(crate) fn part_in_memory(bytes: Bytes, start: u64, stamp: Stamp) -> Self {
        Self { content: Content::Memory(bytes), start, size: stamp.size, stamp }
    }

    /// Makes the part of a shard that begins at byte `start` and has the first `length` bytes of a mapped
    /// file.
    #[cfg(feature = "remote")]
    pub(crate) fn part_mapped(mapping: Mapping, length: usize, start: u64, stamp: Stamp) -> Self {
        let bytes = mapping.bytes().slice(..length);
        Self { content: Content::Mapped(bytes, Arc::new(mapping)), start, size: stamp.size, stamp }
    }

    /// Returns the size of the whole shard in bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.size
    }

    /// Returns whether it was empty when it was opened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns its version.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Returns whether its file has lost its name, so that it takes space on the disk only as long as it is open.
    pub(crate) fn is_removed(&self) -> bool {
        matches!(&self.content, Content::Mapped(_, mapping) if mapping.is_removed())
    }

    /// Returns the bytes of memory that it takes.
    pub(crate) fn memory(&self) -> u64 {
        match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Mapped(..) | Content::Ranged(_) => 0,
        }
    }

    /// Returns the bytes of `range`, which are readable at the time of the call.
    ///
    /// # Errors
    /// The shard ends before `range` does, now or when it was opened, or its pages cannot be read.
    pub fn slice(&self, range: Range<u64>) -> io::Result<Bytes> {
        let within = self.check(range.clone())?;
        match &self.content {
            Content::Memory(bytes) => Ok(bytes.slice(within)),
            Content::Mapped(bytes, mapping) => {
                mapping.make_resident(within.clone())?;
                Ok(bytes.slice(within))
            }
            Content::Ranged(ranges) => ranges.read(range),
        }
    }

    /// Returns the bytes of `range`, given a slice of this shard that ends where `range` does.
    pub(crate) fn encoded(&self, slice: &Bytes, range: Range<u64>) -> Encoded {
        let bytes = slice.slice(slice.len() - (range.end - range.start) as usize..);
        match &self.content {
            Content::Mapped(_, mapping) => {
                Encoded::mapped(bytes, Arc::clone(mapping), (range.start - self.start) as usize)
            }
            // A part is far larger than the image, which may wait for long.
            Content::Memory(whole) if (whole.len() as u64) < self.size => {
                Bytes::copy_from_slice(&bytes).into()
            }
            Content::Memory(_) | Content::Ranged(_) => bytes.into(),
        }
    }

    /// Asks the system to read `range` ahead, without waiting.
    pub(crate) fn will_need(&self, range: Range<u64>) {
        if let (Content::Mapped(_, mapping), Ok(range)) = (&self.content, self.check(range)) {
            mapping.will_need(range);
        }
    }

    /// Releases the pages that were read from the process's memory; slices stay valid.
    pub(crate) fn release_pages(&self) {
        if let Content::Mapped(_, mapping) = &self.content {
            mapping.release_pages();
        }
    }

    /// Fills `target` with the bytes from `start`, without mapping them if the file is open.
    pub(crate) fn read(&self, start: u64, target: &mut [u8]) -> io::Result<()> {
        let range = start..start.saturating_add(target.len() as u64);
        let within = self.check(range.clone())?;
        if let Content::Mapped(_, mapping) = &self.content
            && let Some(file) = mapping.file()
        {
            return file.read_exact_at(target, within.start as u64);
        }
        self.slice(range).map(|bytes| target.copy_from_slice(&bytes))
    }

    /// Closes the file, if no slice has been taken yet; the mapping stays.
    pub(crate) fn release_file(&mut self) {
        if let Content::Mapped(_, mapping) = &mut self.content
            && let Some(mapping) = Arc::get_mut(mapping)
        {
            mapping.release_file();
        }
    }

    /// Returns the place of `range` within the content.
    fn check(&self, range: Range<u64>) -> io::Result<Range<usize>> {
        let end = match &self.content {
            Content::Memory(bytes) | Content::Mapped(bytes, _) => self.start + bytes.len() as u64,
            Content::Ranged(_) => self.len(),
        };
        if self.start <= range.start && range.start <= range.end && range.end <= end {
            return Ok((range.start - self.start) as usize..(range.end - self.start) as usize);
        }
        let (last, length) = (range.end, self.len());
        let reason = format!("it would end at byte {last}, but the shard ends at byte {length}");
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason))
    }
}
