//! A part of a shard in a file: its bytes, their number, and a checksum.

use std::{
    fs::{self, File},
    io::{self, Write},
    ops::Range,
    path::Path,
    time::{Duration, SystemTime},
};

use xxhash_rust::xxh3::xxh3_128;

use crate::{Shard, Stamp, mapping::Mapping, partial::unfinished_suffix};

/// The magic changes whenever the format does.
const MAGIC: &[u8; 8] = b"amdimPT1";
/// The bytes after the content: magic, length, checksum.
pub(super) const TRAILER: u64 = 32;
/// The time of the last use is stored at most this often.
const TOUCH: Duration = Duration::from_secs(3600);

/// The identity of a part: of which version of which object it has which bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) struct PartId {
    hash: u128,
    pub(in super::super) start: u64,
    pub(in super::super) end: u64,
}

impl PartId {
    /// Makes the identity of bytes of an object, given by its address without secrets.
    pub(in super::super) fn new(object: &str, stamp: Stamp, range: &Range<u64>) -> Self {
        let Range { start, end } = *range;
        let text = format!("{object}\0{}\0{:016x}\0{start}-{end}", stamp.size, stamp.tag);
        Self { hash: xxh3_128(text.as_bytes()), start, end }
    }

    /// Returns the number of bytes.
    pub(in super::super) fn len(self) -> u64 {
        self.end - self.start
    }

    /// Returns a number by which locks are divided among parts.
    pub(super) fn number(self) -> u128 {
        self.hash
    }

    /// Returns the name of its file.
    pub(super) fn name(self) -> String {
        format!("{:032x}.part", self.hash)
    }
}

/// Opens a part, if it is there and undamaged.
///
/// # Errors
/// It is not there; [`io::ErrorKind::InvalidData`] if it is damaged.
pub(super) fn open(path: &Path, id: PartId, stamp: Stamp) -> io::Result<Shard> {
    let (mapping, metadata) = Mapping::open(path)?;
    let bytes = mapping.bytes();
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let (content, trailer) = bytes.split_at_checked(id.len() as usize).ok_or_else(damaged)?;
    mapping.make_resident(0..bytes.len())?;
    if trailer != trailer_of(content) {
        return Err(damaged());
    }
    mapping.check_intact()?;
    let is_old = metadata.modified().ok().and_then(|time| time.elapsed().ok()).is_none_or(|age| age > TOUCH);
    if is_old && let Some(file) = mapping.file() {
        file.set_modified(SystemTime::now()).ok(); // the folder may be read-only
    }
    Ok(Shard::part_mapped(mapping, id.len() as usize, id.start, stamp))
}

/// Writes a part under a temporary name, which a lock marks as in use, and renames it. It is not synced: the checksum
/// tells whether it survived a loss of power.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}{}", unfinished_suffix()));
    let mut written = write_under(&unfinished, path, content);
    // A process that starts at this moment takes a file that is not locked yet for a leftover.
    if matches!(&written, Err(error) if error.kind() == io::ErrorKind::NotFound) {
        written = write_under(&unfinished, path, content);
    }
    if written.is_err() {
        fs::remove_file(&unfinished).ok();
    }
    written
}

fn write_under(unfinished: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(unfinished)?;
    file.try_lock().ok(); // not every file system has locks
    file.write_all(content)?;
    file.write_all(&trailer_of(content))?;
    fs::rename(unfinished, path)
}

fn trailer_of(content: &[u8]) -> [u8; TRAILER as usize] {
    let mut trailer = [0; TRAILER as usize];
    trailer[..8].copy_from_slice(MAGIC);
    trailer[8..16].copy_from_slice(&(content.len() as u64).to_le_bytes());
    trailer[16..].copy_from_slice(&xxh3_128(content).to_le_bytes());
    trailer
}
