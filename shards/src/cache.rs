//! Indices kept between runs, one file per shard.
//!
//! A file is named by a hash of the shard's identity and holds, little-endian: the magic, then identity, size and time
//! of the shard, digest, faults and spans of its index, and a checksum of all that. One that does not check out in
//! every respect is as good as none.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::{
    Stamp,
    index::{Fault, Index},
    span::Span,
    temporary::{Temporary, folder_of},
};

/// Changes whenever the format or the meaning of an index does.
const MAGIC: &[u8; 8] = b"amdimIX2";

/// Where the index of one version of one shard is kept.
#[derive(Debug)]
pub(crate) struct CacheEntry {
    path: PathBuf,
    identity: String,
    stamp: Stamp,
}

impl CacheEntry {
    pub(crate) fn new(folder: &Path, identity: String, stamp: Stamp) -> Self {
        let name = format!("{:032x}.index", xxh3_128(identity.as_bytes()));
        Self { path: folder.join(name), identity, stamp }
    }

    /// The index, if it is there, whole, and of this version of the shard.
    pub(crate) fn load(&self) -> Option<Index> {
        let bytes = fs::read(&self.path).ok()?;
        let index = self.decode(&bytes);
        if index.is_none() {
            tracing::debug!(shard = self.identity, "cached index is stale or damaged");
        }
        index
    }

    /// Keeps the index for next time; what fails here costs time then, nothing else.
    pub(crate) fn store(&self, index: &Index) {
        if let Err(error) = self.try_store(index) {
            tracing::debug!(path = %self.path.display(), %error, "cannot cache the index");
        }
    }

    fn try_store(&self, index: &Index) -> io::Result<()> {
        let temporary = Temporary::beside(&self.path)?;
        fs::create_dir_all(folder_of(&self.path))?;
        fs::write(&temporary.path, self.encode(index))?;
        fs::rename(&temporary.path, &self.path)?;
        temporary.disarm();
        Ok(())
    }

    fn encode(&self, index: &Index) -> Vec<u8> {
        let mut bytes = self.header();
        bytes.extend(index.digest.to_le_bytes());
        bytes.extend((index.faults.len() as u64).to_le_bytes());
        for fault in &index.faults {
            bytes.extend(fault.offset.to_le_bytes());
            put_text(&mut bytes, &fault.reason);
        }
        bytes.reserve(index.spans.len() * Span::SIZE + 8);
        index.spans.iter().for_each(|span| bytes.extend(span.to_bytes()));
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    fn decode(&self, bytes: &[u8]) -> Option<Index> {
        let (body, checksum) = bytes.split_last_chunk::<8>()?;
        if xxh3_64(body) != u64::from_le_bytes(*checksum) {
            return None;
        }
        let mut rest = body.strip_prefix(&*self.header())?;
        let digest = take_number(&mut rest)?;
        let faults = (0..take_number(&mut rest)?)
            .map(|_| Some(Fault { offset: take_number(&mut rest)?, reason: take_text(&mut rest)? }));
        let faults = faults.collect::<Option<_>>()?;
        let (spans, left_over) = rest.as_chunks::<{ Span::SIZE }>();
        left_over.is_empty().then(|| Index {
            spans: spans.iter().map(Span::from_bytes).collect(),
            faults,
            digest,
            is_lasting: true,
        })
    }

    /// Everything that must agree for an index to be used.
    fn header(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put_text(&mut bytes, &self.identity);
        bytes.extend(self.stamp.size.to_le_bytes());
        bytes.extend(self.stamp.modified_ns.to_le_bytes());
        bytes
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_le_bytes(*number))
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let length = take_number(rest)?;
    let (text, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(folder: &Path, modified_ns: u64) -> CacheEntry {
        CacheEntry::new(folder, "/data/x.tar".to_owned(), Stamp { size: 7, modified_ns })
    }

    fn index() -> Index {
        let bytes = std::array::from_fn(|i| i as u8);
        let fault = Fault { offset: 3, reason: "it is cut".to_owned() };
        Index {
            spans: vec![Span::from_bytes(&bytes); 3].into(),
            faults: vec![fault],
            digest: 9,
            is_lasting: true,
        }
    }

    #[test]
    fn an_index_comes_back_as_it_was_stored() {
        let folder = tempfile::tempdir().unwrap();
        let entry = entry(&folder.path().join("new/folder"), 1);
        assert_eq!(entry.load(), None);
        entry.store(&index());
        assert_eq!(entry.load(), Some(index()));
    }

    #[test]
    fn the_index_of_another_version_of_the_shard_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        entry(folder.path(), 1).store(&index());
        assert_eq!(entry(folder.path(), 2).load(), None);
        assert!(entry(folder.path(), 1).load().is_some());
    }

    #[test]
    fn an_index_damaged_or_cut_anywhere_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let entry = entry(folder.path(), 1);
        let bytes = entry.encode(&index());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert_eq!(entry.decode(&damaged), None, "flipped at {at}");
            assert_eq!(entry.decode(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_only_a_pity() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let entry = entry(&file, 1);
        entry.store(&index());
        assert_eq!(entry.load(), None);
    }
}
