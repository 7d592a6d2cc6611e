//! Reads the headers of a tar file and skips the data.

use std::io;

use tar::{EntryType, Header, PaxExtensions};

use super::{
    block::{BLOCK, is_blank, is_header},
    member::{Kind, Member},
    window::Window,
};
use crate::Shard;

/// Bytes that are searched at a time after an end-of-archive mark.
const REST: u64 = 1 << 16;
/// The largest extension header that is read, in bytes; names and attributes are far smaller.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// The reason why a scan stops before the end-of-archive mark.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The tar structure is damaged here; the members before it are good.
    Damaged { offset: u64, reason: String },
    /// The form of tar is not supported.
    Unsupported { offset: u64, what: &'static str },
    /// The bytes cannot be read.
    Unreadable { offset: u64, source: io::Error },
}

/// A scan over the members of a shard.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    window: Window<'a>,
    position: u64,
    /// The bytes at which archives begin that follow an end-of-archive mark.
    archives: Vec<u64>,
}

/// The values of extension headers for the member that follows them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Extensions {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    link: Option<Vec<u8>>,
}

impl<'a> Scanner<'a> {
    /// Begins at `position`, where a member's first header must be.
    pub(crate) fn new(shard: &'a Shard, position: u64) -> Self {
        Self { window: Window::new(shard), position, archives: Vec::new() }
    }

    /// Reads the next member; `None` at an end-of-archive mark that no other archive follows.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, Trouble> {
        let mut head = self.position;
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.header()? else {
                if extensions != Extensions::default() {
                    return Err(self.damaged("the extension header before it belongs to no member"));
                }
                if !self.find_archive()? {
                    return Ok(None);
                }
                head = self.position;
                continue;
            };
            let size = size_of(&header).ok_or_else(|| self.damaged("its size is not a number"))?;
            match header.entry_type() {
                EntryType::GNULongName => extensions.name = Some(until_zero(self.extension(size)?)),
                EntryType::GNULongLink => extensions.link = Some(until_zero(self.extension(size)?)),
                EntryType::XHeader => {
                    let records = self.extension(size)?;
                    self.apply(&records, &mut extensions)?;
                }
                EntryType::XGlobalHeader => {
                    let mut global = Extensions::default();
                    let records = self.extension(size)?;
                    self.apply(&records, &mut global)?;
                    if global.name.is_some() || global.size.is_some() {
                        return Err(self.unsupported("a global header that sets names or sizes"));
                    }
                }
                EntryType::GNUSparse => return Err(self.unsupported("a sparse file")),
                kind => return self.member(head, &header, kind, size, extensions).map(Some),
            }
        }
    }

    /// Returns the byte of the next header: after the last member's data and padding.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Returns the shard.
    pub(crate) fn shard(&self) -> &'a Shard {
        self.window.shard()
    }

    /// Returns the bytes at which further archives begin, among the members read so far.
    pub(crate) fn archives(&self) -> &[u64] {
        &self.archives
    }

    /// Reads the data of a member.
    ///
    /// # Errors
    /// The shard ends before the data do ([`io::ErrorKind::UnexpectedEof`]), or cannot be read.
    pub(crate) fn data(&mut self, start: u64, size: u64) -> io::Result<&[u8]> {
        self.window.get(start..start.saturating_add(size))
    }

    fn member(
        &mut self,
        head: u64,
        header: &Header,
        kind: EntryType,
        size: u64,
        extensions: Extensions,
    ) -> Result<Member, Trouble> {
        let Extensions { name, size: long_size, link } = extensions;
        let target = || link.or_else(|| Some(header.link_name_bytes()?.into_owned())).unwrap_or_default();
        // Links, devices and folders have no data, whatever size their header gives.
        let has_data = !kind.is_dir() && !is_special(kind);
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Link => Kind::HardLink(target()),
            EntryType::Symlink => Kind::SymbolicLink(target()),
            _ => Kind::Other,
        };
        let size = if has_data { long_size.unwrap_or(size) } else { 0 };
        let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
        let data = self.position + BLOCK;
        self.leap(size)?;
        Ok(Member { head, name, data, size, kind })
    }

    /// Reads the header at the current position; `None` if it is the block of zeros that ends the archive.
    fn header(&mut self) -> Result<Option<Header>, Trouble> {
        let (at, length) = (self.position, self.window.shard().len());
        if at >= length {
            let reason =
                if at == length { "it has no end-of-archive mark" } else { "it is cut within a member" };
            return Err(Trouble::Damaged { offset: length, reason: format!("{reason}, perhaps cut short") });
        }
        if length - at < BLOCK {
            return Err(self.damaged("it is cut within a header"));
        }
        let block = match self.window.get(at..at + BLOCK) {
            Ok(block) => block,
            Err(source) => return Err(Trouble::Unreadable { offset: at, source }),
        };
        if is_blank(block) {
            return Ok(None);
        }
        if !is_header(block) {
            return Err(self.damaged("it has no valid header at this byte"));
        }
        Ok(Some(Header::from_byte_slice(block).clone()))
    }

    /// Reads the data of an extension header and moves past it.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Trouble> {
        if size > EXTENSION_LIMIT {
            return Err(self.damaged("its extension header is larger than 1 MiB"));
        }
        let data = self.position + BLOCK;
        let bytes = match self.window.get(data..data + size) {
            Ok(bytes) => bytes.to_vec(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.damaged("it is cut within a header"));
            }
            Err(source) => return Err(Trouble::Unreadable { offset: data, source }),
        };
        self.leap(size)?;
        Ok(bytes)
    }

    fn apply(&self, records: &[u8], extensions: &mut Extensions) -> Result<(), Trouble> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|_| self.damaged("its extension header is malformed"))?;
            match record.key_bytes() {
                b"path" => extensions.name = Some(record.value_bytes().to_vec()),
                b"linkpath" => extensions.link = Some(record.value_bytes().to_vec()),
                b"size" => {
                    let size = record.value().ok().and_then(|value| value.parse().ok());
                    extensions.size = Some(size.ok_or_else(|| self.damaged("its size is not a number"))?);
                }
                key if key.starts_with(b"GNU.sparse.") => return Err(self.unsupported("a sparse file")),
                _ => {}
            }
        }
        Ok(())
    }

    /// Moves past a header and `size` bytes of data.
    fn leap(&mut self, size: u64) -> Result<(), Trouble> {
        let next =
            size.checked_next_multiple_of(BLOCK).and_then(|size| size.checked_add(self.position + BLOCK));
        self.position = next.ok_or_else(|| self.damaged("a member's size overflows"))?;
        Ok(())
    }

    /// Moves to the archive that follows the end-of-archive mark at the current position. Returns whether
    /// there is one.
    ///
    /// Archives are padded with zeros; `cat` joins them with their marks and padding.
    fn find_archive(&mut self) -> Result<bool, Trouble> {
        let (length, mut at) = (self.window.shard().len(), self.position);
        while at < length {
            let unreadable = |source| Trouble::Unreadable { offset: at, source };
            let piece = self.window.get(at..length.min(at + REST)).map_err(unreadable)?;
            let Some(found) = piece.iter().position(|&byte| byte != 0) else {
                at += piece.len() as u64;
                continue;
            };
            let offset = at + found as u64;
            let start = offset - offset % BLOCK;
            let is_header = match self.window.get(start..start + BLOCK) {
                Ok(block) => is_header(block),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                Err(source) => return Err(Trouble::Unreadable { offset: start, source }),
            };
            if !is_header {
                let reason = "the data after its end-of-archive mark are not a tar and are not read";
                return Err(Trouble::Damaged { offset, reason: reason.to_owned() });
            }
            self.position = start;
            self.archives.push(start);
            return Ok(true);
        }
        Ok(false)
    }

    fn damaged(&self, reason: &str) -> Trouble {
        Trouble::Damaged { offset: self.position, reason: reason.to_owned() }
    }

    fn unsupported(&self, what: &'static str) -> Trouble {
        Trouble::Unsupported { offset: self.position, what }
    }
}

/// Returns the size in a header; a blank field means 0.
fn size_of(header: &Header) -> Option<u64> {
    if header.as_old().size.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Some(0);
    }
    header.entry_size().ok()
}

fn is_special(kind: EntryType) -> bool {
    kind.is_hard_link()
        || kind.is_symlink()
        || kind.is_character_special()
        || kind.is_block_special()
        || kind.is_fifo()
}

fn until_zero(mut name: Vec<u8>) -> Vec<u8> {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    name.truncate(end);
    name
}
