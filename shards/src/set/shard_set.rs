//! A set of shards: its samples are indexed and numbered.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::{
    catalog::Catalog,
    indexing::{IndexConfig, read_index},
    readahead::Samples,
};
use crate::{
    Division, Error, Order, Position, Remark, Result, ShardFault, ShardName, Source, Stamp, Traffic, cache,
    read, source::Parts, span::Span,
};

/// The place of a sample, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The name of the shard.
    pub shard: Arc<str>,
    /// The byte at which the image's data begins.
    pub offset: u64,
    /// The sample's key.
    pub key: String,
}

/// A set of shards with indexed and numbered samples. Clones share everything.
#[derive(Debug, Clone)]
pub struct ShardSet {
    catalog: Arc<Catalog>,
}

impl ShardSet {
    /// Lists the source's shards and reads their indices, several at a time; current indices come from the
    /// cache.
    ///
    /// Problems of single shards become [`faults`](Self::faults).
    ///
    /// # Errors
    /// A shard is not a tar or cannot be opened, a class is invalid, or no shard has an image.
    pub fn open(source: impl Source + 'static, config: &IndexConfig) -> Result<Self> {
        let catalog = Catalog::read(Arc::new(source), config)?;
        if catalog.len() == 0 {
            return Err(Error::NoImages { shards: catalog.names.len(), faults: catalog.faults });
        }
        tracing::debug!(shards = catalog.names.len(), samples = catalog.len(), "indexed");
        Ok(Self { catalog: Arc::new(catalog) })
    }

    /// Returns the number of samples, bad ones included.
    pub fn len(&self) -> u64 {
        self.catalog.len()
    }

    /// Returns whether there are no samples; always false for an opened set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the source of the shards.
    pub fn source(&self) -> &dyn Source {
        &*self.catalog.source
    }

    /// Returns the shards, in the order in which their samples are numbered.
    pub fn shards(&self) -> &[ShardName] {
        &self.catalog.names
    }

    /// Returns the shards with their versions when they were indexed.
    pub fn stamped(&self) -> impl Iterator<Item = (&ShardName, Stamp)> {
        self.catalog.names.iter().zip(self.catalog.stamps.iter().copied())
    }

    /// Returns for each shard, in order, a hash of keys, labels and places of its samples.
    pub fn digests(&self) -> &[u64] {
        &self.catalog.digests
    }

    /// Computes the [`digest`](Self::digests) of a shard of another set, from its headers or the cache.
    ///
    /// # Errors
    /// The shard cannot be indexed.
    pub fn digest_of(source: &dyn Source, name: &ShardName, config: &IndexConfig) -> Result<u64> {
        read_index(source, name, config).map(|(_, index)| index.digest)
    }

    /// Encodes the index of a shard for an object beside it, `NAME.index`, from which programs that read the shard from
    /// a server take it. All headers of the shard are read, or the cache.
    ///
    /// # Errors
    /// The shard cannot be read.
    pub fn index_beside(source: &dyn Source, name: &ShardName, config: &IndexConfig) -> Result<Vec<u8>> {
        let (stamp, index) = read_index(source, name, config)?;
        Ok(cache::encode_beside(&index, stamp.size))
    }

    /// Returns the bytes of all shards.
    pub fn bytes(&self) -> u64 {
        self.catalog.stamps.iter().map(|stamp| stamp.size).sum()
    }

    /// Returns what was read from servers; `None` if all shards are files.
    pub fn traffic(&self) -> Option<Traffic> {
        self.catalog.source.parts().map(Parts::traffic)
    }

    /// Returns the bytes of memory that the index of all samples takes.
    pub fn index_bytes(&self) -> u64 {
        self.len() * size_of::<Span>() as u64
    }

    /// Returns the number of samples with a label.
    pub fn labelled(&self) -> u64 {
        self.catalog.labelled
    }

    /// Returns one more than the largest label; `None` if no sample has a label.
    pub fn classes(&self) -> Option<u32> {
        self.catalog.classes
    }

    /// Returns the faults of all shards, in order.
    pub fn faults(&self) -> &[ShardFault] {
        &self.catalog.faults
    }

    /// Returns the unusual forms in the shards, one remark for each kind, in the order of the kinds.
    pub fn remarks(&self) -> &[Remark] {
        &self.catalog.remarks
    }

    /// Returns a hash that identifies the data. It is the same for the same shards in another folder, and
    /// differs if a name, a size, or a sample's key, place or label does. It does not cover the bytes of
    /// images.
    pub fn digest(&self) -> u64 {
        self.catalog.digest
    }

    /// Returns the label of a sample; `None` if it has none, or does not exist.
    pub fn label(&self, index: u64) -> Option<u32> {
        self.catalog.span(index)?.1.label()
    }

    /// Makes a set of these samples alone, in their present order; they are numbered anew. Indices beyond the
    /// last sample are ignored.
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

    /// Reads the samples of one rank in `order`, from a position on, ahead of time on threads of its own.
    ///
    /// Impossible arguments (more partitions than samples, a division that [`Division::check`] refuses, a
    /// position past the end of an epoch) make the stream's first and only item an error.
    pub fn samples(&self, order: Order, division: Division, from: Position) -> Samples {
        Samples::spawn(Arc::clone(&self.catalog), order, division, from)
    }

    /// Finds the place of a sample, whose key is read from the shard.
    ///
    /// # Errors
    /// There is no sample of that index, or its shard cannot be read.
    pub fn locate(&self, index: u64) -> Result<Location> {
        let (shard, span) = self.catalog.span(index).ok_or(Error::Index { index, len: self.len() })?;
        let key = self.catalog.key(index)?;
        Ok(Location { shard: self.catalog.names[shard].shared(), offset: span.image, key })
    }

    /// Returns the number of samples of a shard, given by its place in [`shards`](Self::shards).
    pub fn samples_in(&self, shard: usize) -> u64 {
        self.catalog.spans[shard].len() as u64
    }

    /// Reads the keys of a shard's samples, in order, each with the sample's index. Only headers are read.
    ///
    /// # Errors
    /// [`Error::Sample`] if the shard, or the header of a sample, cannot be read.
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

    /// Finds the index of the first sample with this key, reading headers of shard after shard.
    ///
    /// # Errors
    /// The key was not found, but not every shard could be read.
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
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap(); // a file system's clock moves in steps
        }
        let accepted = stamp(&set);
        assert!(set.catalog.accepts(0, accepted) && !set.catalog.accepts(0, indexed));
        assert!(set.catalog.accepts(0, Stamp { inode: 1, ..accepted }), "a system that makes up inodes");
        assert!(!set.catalog.accepts(0, Stamp { changed_ns: accepted.changed_ns + 1, ..accepted }));
        assert!(!set.subset(vec![0]).catalog.accepts(0, accepted), "a subset checks the shard itself");
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
