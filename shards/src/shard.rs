//! An open shard: bytes that are proven readable before they are handed out.

use std::{io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;

use crate::{Encoded, Stamp, local::Mapping};

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
