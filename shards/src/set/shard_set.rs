//! A set of shards: indexed, counted, its samples numbered.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::{
    catalog::Catalog,
    indexing::{IndexConfig, read_index},
    readahead::Samples,
};
use crate::{
    Error, Order, Position, Remark, Result, ShardFault, ShardName, Share, Source, Stamp, read, span::Span,
};

/// Where a sample lies, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The shard.
    pub shard: Arc<str>,
    /// Byte at which the image's data begin.
    pub offset: u64,
    /// The sample's key.
    pub key: String,
}

/// A set of shards whose samples are known and numbered. Clones share everything.
#[derive(Debug, Clone)]
pub struct ShardSet {
    catalog: Arc<Catalog>,
}

impl ShardSet {
    /// Lists the source's shards and reads their indices, from the cache where they are current, several at a time.
    ///
    /// Shards with trouble of their own become [`faults`](Self::faults). An error is what concerns the set: a shard
    /// that is no tar or cannot be opened, a class that is none, no image in any shard.
    pub fn open(source: impl Source + 'static, config: &IndexConfig) -> Result<Self> {
        let catalog = Catalog::read(Arc::new(source), config)?;
        if catalog.len() == 0 {
            return Err(Error::NoImages { shards: catalog.names.len(), faults: catalog.faults });
        }
        tracing::debug!(shards = catalog.names.len(), samples = catalog.len(), "indexed");
        Ok(Self { catalog: Arc::new(catalog) })
    }

    /// Samples, bad ones included.
    pub fn len(&self) -> u64 {
        self.catalog.len()
    }

    /// Whether there are no samples; never so for an opened set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shards, in the order in which their samples are numbered.
    pub fn shards(&self) -> &[ShardName] {
        &self.catalog.names
    }

    /// The shards, each as it was when it was indexed.
    pub fn stamped(&self) -> impl Iterator<Item = (&ShardName, Stamp)> {
        self.catalog.names.iter().zip(self.catalog.stamps.iter().copied())
    }

    /// For each shard what identifies keys, labels and places of its samples, in the order of the shards.
    pub fn digests(&self) -> &[u64] {
        &self.catalog.digests
    }

    /// What [`digests`](Self::digests) would have for a shard that is not opened otherwise; headers alone are read, or the cache.
    ///
    /// # Errors
    /// It cannot be indexed.
    pub fn digest_of(source: &dyn Source, name: &ShardName, config: &IndexConfig) -> Result<u64> {
        read_index(source, name, config).map(|(_, index)| index.digest)
    }

    /// Bytes of all shards.
    pub fn bytes(&self) -> u64 {
        self.catalog.stamps.iter().map(|stamp| stamp.size).sum()
    }

    /// Bytes of memory that the places of all samples take.
    pub fn index_bytes(&self) -> u64 {
        self.len() * size_of::<Span>() as u64
    }

    /// Samples with a label.
    pub fn labelled(&self) -> u64 {
        self.catalog.labelled
    }

    /// One more than the largest label; `None` when nothing is labelled.
    pub fn classes(&self) -> Option<u32> {
        self.catalog.classes
    }

    /// Trouble with whole shards, in their order.
    pub fn faults(&self) -> &[ShardFault] {
        &self.catalog.faults
    }

    /// What is unusual in the members of the shards, in order of its kind.
    pub fn remarks(&self) -> &[Remark] {
        &self.catalog.remarks
    }

    /// Identifies the data: the same for the same shards in another folder, another when a name, a size, or a
    /// sample's key, place or label differs. Image bytes are not read for it.
    pub fn digest(&self) -> u64 {
        self.catalog.digest
    }

    /// The label of a sample; none where it has none, or there is no such sample.
    pub fn label(&self, index: u64) -> Option<u32> {
        self.catalog.span(index)?.1.label()
    }

    /// A set of these samples alone, in their order here; they are numbered anew. Numbers that are no sample's are left out.
    #[must_use]
    pub fn subset(&self, mut indices: Vec<u64>) -> Self {
        indices.sort_unstable();
        indices.dedup();
        let Catalog { source, names, stamps, digests, faults, digest, .. } = &*self.catalog;
        let mut subset = Xxh3::new();
        subset.update(&digest.to_le_bytes());
        let mut spans = vec![Vec::new(); names.len()];
        for &index in &indices {
            let Some((shard, span)) = self.catalog.span(index) else { continue };
            spans[shard].push(*span);
            subset.update(&index.to_le_bytes());
        }
        let mut catalog = Catalog::with_spans(
            source.clone(),
            names.clone(),
            stamps.clone(),
            spans.into_iter().map(Vec::into_boxed_slice).collect(),
        );
        (catalog.digests, catalog.faults, catalog.digest) =
            (digests.clone(), faults.clone(), subset.digest());
        Self { catalog: Arc::new(catalog) }
    }

    /// The samples of one rank from a position on, in the order given, read ahead by threads of their own.
    ///
    /// What makes the arguments impossible (more ranks than samples, a position past the end of an epoch) is the
    /// stream's first and only item.
    pub fn samples(&self, order: Order, share: Share, from: Position) -> Samples {
        Samples::spawn(Arc::clone(&self.catalog), order, share, from)
    }

    /// Where a sample lies. Its key is read from the shard.
    pub fn locate(&self, index: u64) -> Result<Location> {
        let (shard, span) = self.catalog.span(index).ok_or(Error::Index { index, len: self.len() })?;
        let opened = self.catalog.open_shard(shard);
        let key = opened.and_then(|opened| read::key(&opened, span.head));
        let key = key.map_err(|source| self.catalog.sample_error(index, None, source))?;
        Ok(Location { shard: self.catalog.names[shard].shared(), offset: span.image, key })
    }

    /// Samples of a shard.
    pub fn samples_in(&self, shard: usize) -> u64 {
        self.catalog.spans[shard].len() as u64
    }

    /// The keys of a shard's samples, in order, each with the sample's number. Headers alone are read.
    ///
    /// # Errors
    /// The shard, or the first of its samples whose header cannot be read.
    pub fn keys(&self, shard: usize) -> Result<Vec<(u64, String)>> {
        let first = self.catalog.starts[shard];
        let opened = self
            .catalog
            .open_shard(shard)
            .map_err(|source| self.catalog.sample_error(first, None, source))?;
        let spans = self.catalog.spans[shard].iter();
        let keyed = (first..).zip(spans).map(|(index, span)| match read::key(&opened, span.head) {
            Ok(key) => Ok((index, key)),
            Err(source) => Err(self.catalog.sample_error(index, None, source)),
        });
        keyed.collect()
    }

    /// The number of the first sample with this key; none where there is none. Reads through the shards until it is found.
    ///
    /// # Errors
    /// It was not found, but not every shard could be read.
    pub fn find(&self, key: &str) -> Result<Option<u64>> {
        let mut failed = None;
        for (shard, spans) in self.catalog.spans.iter().enumerate() {
            let first = self.catalog.starts[shard];
            let opened = match self.catalog.open_shard(shard) {
                Ok(opened) => opened,
                Err(source) => {
                    failed.get_or_insert(self.catalog.sample_error(first, None, source));
                    continue;
                }
            };
            for (index, span) in (first..).zip(spans.iter()) {
                match read::key(&opened, span.head) {
                    Ok(found) if found == key => return Ok(Some(index)),
                    Ok(_) => {}
                    Err(source) => {
                        failed.get_or_insert(self.catalog.sample_error(index, None, source));
                    }
                }
            }
        }
        match failed {
            None => Ok(None),
            Some(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::{LocalSource, MemorySource, ShardWriter};

    #[test]
    fn headers_of_a_shard_whose_permissions_changed_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let mut writer = ShardWriter::create(&path).unwrap();
        writer.append("k", &[("jpg", b"image")]).unwrap();
        writer.finish().unwrap();
        let source = LocalSource::new(&[path.to_str().unwrap().to_owned()]).unwrap();
        let set = ShardSet::open(source, &IndexConfig::default()).unwrap();
        let stamp = |set: &ShardSet| set.catalog.open_shard(0).unwrap().stamp();
        let indexed = stamp(&set);
        while stamp(&set) == indexed {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap(); // the clock moves in steps
        }
        let accepted = stamp(&set);
        assert!(set.catalog.accepts(0, accepted) && !set.catalog.accepts(0, indexed));
        assert!(set.catalog.accepts(0, Stamp { inode: 1, ..accepted }), "a system that makes up numbers");
        assert!(!set.catalog.accepts(0, Stamp { changed_ns: accepted.changed_ns + 1, ..accepted }));
        assert!(!set.subset(vec![0]).catalog.accepts(0, accepted), "it looks for itself");
    }

    #[test]
    fn a_set_without_any_image_says_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let mut writer = ShardWriter::create(&path).unwrap();
        writer.append("1", &[("txt", b"")]).unwrap();
        writer.finish().unwrap();
        let source = MemorySource::new().with("a.tar", fs::read(&path).unwrap()).with("b.tar", vec![]);
        let error = ShardSet::open(source, &IndexConfig::default()).unwrap_err();
        let message = error.to_string();
        assert_eq!(
            message.lines().next().unwrap(),
            "there are no images in any of the 2 shards: `a.tar`: it holds 1 files but no images (`jpg`, `jpeg`, `png`, \
             `webp`), only `txt`; `b.tar`: it is empty (0 bytes)"
        );
    }
}
