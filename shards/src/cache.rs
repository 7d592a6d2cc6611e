//! Cached indices: one file per shard, kept between runs.
//!
//! A file is named by a hash of the shard's identity. It holds, little-endian: the magic; the identity and
//! stamp of the shard; digest, faults, tallies and spans of its index; and a checksum of all that. A file in
//! which any part does not match is treated as missing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::{
    Stamp,
    fault::Fault,
    index::ShardIndex,
    partial::Partial,
    path::folder_of,
    remark::{RemarkKind, Tally},
    span::Span,
};

/// The magic changes whenever the format or the meaning of an index does.
const MAGIC: &[u8; 8] = b"amdimIX7";

/// The place of the cached index of one version of one shard.
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

    /// Reads the index, if it is cached, undamaged, and of this version of the shard.
    pub(crate) fn load(&self) -> Option<ShardIndex> {
        let bytes = fs::read(&self.path).ok()?;
        let index = self.decode(&bytes);
        if index.is_none() {
            tracing::debug!(shard = self.identity, "cached index is stale or damaged");
        }
        index
    }

    /// Stores the index for later runs. A failure is only logged: the next run then reads the headers again.
    pub(crate) fn store(&self, index: &ShardIndex) {
        if let Err(error) = self.try_store(index) {
            tracing::debug!(path = %self.path.display(), %error, "cannot cache the index");
        }
    }

    fn try_store(&self, index: &ShardIndex) -> io::Result<()> {
        fs::create_dir_all(folder_of(&self.path))?;
        Partial::beside(&self.path)?.write(&self.encode(index))
    }

    fn encode(&self, index: &ShardIndex) -> Vec<u8> {
        encode(self.header(), index)
    }

    fn decode(&self, bytes: &[u8]) -> Option<ShardIndex> {
        decode(&self.header(), self.stamp.size, bytes)
    }

    /// Encodes what must match for an index to be used: magic, identity and stamp.
    fn header(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put_text(&mut bytes, &self.identity);
        bytes.extend(self.stamp.size.to_le_bytes());
        bytes.extend(self.stamp.modified_ns.to_le_bytes());
        bytes.extend(self.stamp.changed_ns.to_le_bytes());
        bytes.extend(self.stamp.inode.to_le_bytes());
        bytes.extend(self.stamp.tag.to_le_bytes());
        bytes
    }
}

/// Encodes the index that lies beside a shard on a server: there, the size stands for the version. Whether the index
/// fits is also seen from the header of each sample that is read.
pub(crate) fn encode_beside(index: &ShardIndex, size: u64) -> Vec<u8> {
    encode(header_beside(size), index)
}

/// Decodes the index beside a shard of this size; `None` if it is damaged, or of another version of the shard or of the
/// format.
pub(crate) fn decode_beside(bytes: &[u8], size: u64) -> Option<ShardIndex> {
    decode(&header_beside(size), size, bytes)
}

fn header_beside(size: u64) -> Vec<u8> {
    [MAGIC.as_slice(), b"beside", &size.to_le_bytes()].concat()
}

fn encode(header: Vec<u8>, index: &ShardIndex) -> Vec<u8> {
    let mut bytes = header;
    bytes.extend(index.digest.to_le_bytes());
    bytes.extend((index.faults.len() as u64).to_le_bytes());
    for fault in &index.faults {
        bytes.extend(fault.offset.to_le_bytes());
        put_text(&mut bytes, &fault.reason);
    }
    bytes.extend((index.tallies.len() as u64).to_le_bytes());
    for tally in &index.tallies {
        for number in [tally.kind as u64, tally.count, tally.offset] {
            bytes.extend(number.to_le_bytes());
        }
        put_text(&mut bytes, &tally.name);
        put_text(&mut bytes, &tally.detail);
    }
    bytes.reserve(index.spans.len() * Span::SIZE + 8);
    index.spans.iter().for_each(|span| bytes.extend(span.to_bytes()));
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    bytes
}

fn decode(header: &[u8], size: u64, bytes: &[u8]) -> Option<ShardIndex> {
    let (body, checksum) = bytes.split_last_chunk::<8>()?;
    if xxh3_64(body) != u64::from_le_bytes(*checksum) {
        return None;
    }
    let mut rest = body.strip_prefix(header)?;
    let digest = take_number(&mut rest)?;
    let faults = (0..take_number(&mut rest)?)
        .map(|_| Some(Fault { offset: take_number(&mut rest)?, reason: take_text(&mut rest)? }));
    let faults = faults.collect::<Option<_>>()?;
    let tallies = (0..take_number(&mut rest)?).map(|_| take_tally(&mut rest)).collect::<Option<_>>()?;
    let (spans, left_over) = rest.as_chunks::<{ Span::SIZE }>();
    let spans: Box<[_]> = spans.iter().map(Span::from_bytes).collect();
    let is_whole = left_over.is_empty() && spans.iter().all(|span| span.fits(size));
    is_whole.then_some(ShardIndex { spans, faults, tallies, digest, is_cacheable: true })
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

fn take_tally(rest: &mut &[u8]) -> Option<Tally> {
    Some(Tally {
        kind: RemarkKind::from_number(take_number(rest)?)?,
        count: take_number(rest)?,
        offset: take_number(rest)?,
        name: take_text(rest)?,
        detail: take_text(rest)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::NO_LABEL;

    fn entry(folder: &Path, modified_ns: u64) -> CacheEntry {
        of(folder, Stamp { size: 2048, modified_ns, ..Stamp::default() })
    }

    fn of(folder: &Path, stamp: Stamp) -> CacheEntry {
        CacheEntry::new(folder, "/data/x.tar".to_owned(), stamp)
    }

    fn index() -> ShardIndex {
        let fault = Fault { offset: 3, reason: "it is cut".to_owned() };
        let (name, detail) = ("a.1".to_owned(), "x".to_owned());
        let tally = Tally { kind: RemarkKind::Dotted, count: 5, offset: 512, name, detail };
        let span = Span { head: 7, image: 519, length: 9999, label: 3 };
        ShardIndex {
            spans: vec![span; 3].into(),
            faults: vec![fault],
            tallies: vec![tally],
            digest: 9,
            is_cacheable: true,
        }
    }

    #[test]
    fn an_index_is_loaded_as_it_was_stored() {
        let folder = tempfile::tempdir().unwrap();
        let entry = entry(&folder.path().join("new/folder"), 1);
        assert_eq!(entry.load(), None);
        entry.store(&index());
        assert_eq!(entry.load(), Some(index()));
    }

    #[test]
    fn an_index_beside_a_shard_is_of_its_size() {
        let bytes = encode_beside(&index(), 2048);
        assert_eq!(decode_beside(&bytes, 2048), Some(index()));
        assert_eq!(decode_beside(&bytes, 2560), None);
        assert_eq!(decode_beside(&bytes[1..], 2048), None);
        assert_eq!(decode_beside(&encode_beside(&index(), 512), 512), None, "a span lies beyond the end");
    }

    #[test]
    fn the_index_of_another_version_of_the_shard_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = Stamp { size: 2048, modified_ns: 1, changed_ns: 1, inode: 1, tag: 1 };
        of(folder.path(), stamp).store(&index());
        for other in [
            Stamp { size: 4096, ..stamp },
            Stamp { modified_ns: 2, ..stamp },
            Stamp { changed_ns: 2, ..stamp },
            Stamp { inode: 2, ..stamp },
            Stamp { tag: 2, ..stamp },
        ] {
            assert_eq!(of(folder.path(), other).load(), None, "{other:?}");
        }
        assert!(of(folder.path(), stamp).load().is_some());
    }

    /// The numbers of the kinds are stored: with another order or other kinds an older index would mean
    /// something else.
    #[test]
    fn the_magic_changes_with_the_kinds_of_remarks() {
        let kinds = format!("{:?}", RemarkKind::ALL);
        let expected = "[BadClass, LabelText, LabelStructure, LabelFraction, LabelBool, LabelRange, LabelJson, LabelAmbiguous, \
             LabelStray, LabelApart, Repeated, Dotted, SecondImage, MaskFolder, Link, Concatenated, Ignored]";
        assert_eq!(
            (MAGIC, &*kinds),
            (b"amdimIX7", expected),
            "change the magic together with the kinds, and both in this test"
        );
        for (number, kind) in RemarkKind::ALL.into_iter().enumerate() {
            assert_eq!((kind as usize, RemarkKind::from_number(number as u64)), (number, Some(kind)));
        }
    }

    #[test]
    fn an_index_that_is_damaged_or_cut_anywhere_is_not_used() {
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

    /// The checksum is right, so that nothing else refuses the spans.
    #[test]
    fn impossible_spans_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let entry = entry(folder.path(), 1);
        let good = Span { head: 0, image: 512, length: 9999, label: 0 };
        for (span, is_good) in [
            (good, true),
            (Span { label: NO_LABEL, ..good }, true),
            (Span { head: 1536, ..good }, true), // a link
            (Span { head: u64::MAX, ..good }, false),
            (Span { image: 0, ..good }, false),
            (Span { image: 2049, ..good }, false),
            (Span { label: 1_000_000, ..good }, false),
        ] {
            let index = ShardIndex { spans: [span].into(), ..index() };
            assert_eq!(entry.decode(&entry.encode(&index)).is_some(), is_good, "{span:?}");
        }
    }

    #[test]
    fn an_unwritable_cache_stores_nothing_and_does_not_fail() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let entry = entry(&file, 1);
        entry.store(&index());
        assert_eq!(entry.load(), None);
    }
}
