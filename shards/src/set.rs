//! A set of shards: indexed, counted, its samples numbered.

use std::{
    collections::HashMap,
    num::NonZero,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use xxhash_rust::xxh3::Xxh3;

use crate::{
    Error, Order, Position, Result, Samples, ShardName, Share, Source, Stamp,
    cache::CacheEntry,
    index::{self, Index},
    read,
    remark::{self, Remark},
    span::Span,
};

/// How the index is made.
#[derive(Debug, Clone, Default)]
pub struct IndexConfig {
    /// The folder in which indices are kept between runs; made when missing. `None` reads all headers every time.
    pub cache: Option<PathBuf>,
    /// Shards read at a time; 0 for eight a core, since a disk is fastest when asked for much at a time, but no more than
    /// 64, each of which holds two files open.
    pub threads: usize,
}

/// Trouble with a whole shard, found by the index; the rest of the set goes on without what it hides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFault {
    /// The shard.
    pub shard: Arc<str>,
    /// Byte at which the trouble begins.
    pub offset: u64,
    /// What it is, as a clause about the shard ("it is empty").
    pub reason: String,
}

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
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Arc<dyn Source>,
    names: Vec<ShardName>,
    stamps: Vec<Stamp>,
    spans: Vec<Box<[Span]>>,
    /// For each shard the number of its first sample; at the end their total.
    starts: Vec<u64>,
    /// For each shard what identifies keys, labels and places of its samples.
    digests: Vec<u64>,
    /// Stamps that shards have got since they were indexed, without a change of their samples.
    accepted: Mutex<HashMap<usize, Stamp>>,
    faults: Vec<ShardFault>,
    remarks: Vec<Remark>,
    labelled: u64,
    classes: Option<u32>,
    digest: u64,
}

impl ShardSet {
    /// Lists the source's shards and reads their indices, from the cache where they are current, several at a time.
    ///
    /// Shards with trouble of their own become [`faults`](Self::faults). An error is what concerns the set: a shard
    /// that is no tar or cannot be opened, a class that is none, no image in any shard.
    pub fn open(source: impl Source + 'static, config: &IndexConfig) -> Result<Self> {
        let source: Arc<dyn Source> = Arc::new(source);
        let names = source.list()?;
        let indices = read_indices(&*source, &names, config)?;
        let inner = Inner::new(source, names, indices);
        if inner.starts.last() == Some(&0) {
            return Err(Error::NoImages { shards: inner.names.len(), faults: inner.faults });
        }
        tracing::debug!(shards = inner.names.len(), samples = inner.starts.last(), "indexed");
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Samples, those included that will prove unreadable.
    pub fn len(&self) -> u64 {
        self.inner.starts.last().copied().unwrap_or(0)
    }

    /// Whether there are no samples; never so for an opened set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shards, in the order in which their samples are numbered.
    pub fn shards(&self) -> &[ShardName] {
        &self.inner.names
    }

    /// The shards, each as it was when it was indexed.
    pub fn stamped(&self) -> impl Iterator<Item = (&ShardName, Stamp)> {
        self.inner.names.iter().zip(self.inner.stamps.iter().copied())
    }

    /// For each shard what identifies keys, labels and places of its samples, in the order of the shards.
    pub fn digests(&self) -> &[u64] {
        &self.inner.digests
    }

    /// What [`digests`](Self::digests) would have for a shard that is not opened otherwise; headers alone are read, or the cache.
    ///
    /// # Errors
    /// It cannot be indexed.
    pub fn digest_of(source: &impl Source, name: &ShardName, config: &IndexConfig) -> Result<u64> {
        read_index(source, name, config).map(|(_, index)| index.digest)
    }

    /// Bytes of all shards.
    pub fn bytes(&self) -> u64 {
        self.inner.stamps.iter().map(|stamp| stamp.size).sum()
    }

    /// Bytes of memory that the places of all samples take.
    pub fn index_bytes(&self) -> u64 {
        self.len() * size_of::<Span>() as u64
    }

    /// Samples with a label.
    pub fn labelled(&self) -> u64 {
        self.inner.labelled
    }

    /// One more than the largest label; `None` when nothing is labelled.
    pub fn classes(&self) -> Option<u32> {
        self.inner.classes
    }

    /// Trouble with whole shards, in their order.
    pub fn faults(&self) -> &[ShardFault] {
        &self.inner.faults
    }

    /// What is unusual in the members of the shards, in order of its kind.
    pub fn remarks(&self) -> &[Remark] {
        &self.inner.remarks
    }

    /// Identifies the data: the same for the same shards in another folder, another when a name, a size, or a
    /// sample's key, place or label differs. Image bytes are not read for it.
    pub fn digest(&self) -> u64 {
        self.inner.digest
    }

    /// The label of a sample; none where it has none, or there is no such sample.
    pub fn label(&self, index: u64) -> Option<u32> {
        self.span(index)?.1.label()
    }

    /// A set of these samples alone, in their order here; they are numbered anew. Numbers that are no sample's are left out.
    #[must_use]
    pub fn subset(&self, mut indices: Vec<u64>) -> Self {
        indices.sort_unstable();
        indices.dedup();
        let Inner { source, names, stamps, digests, faults, digest, .. } = &*self.inner;
        let mut subset = Xxh3::new();
        subset.update(&digest.to_le_bytes());
        let mut spans = vec![Vec::new(); names.len()];
        for &index in &indices {
            let Some((shard, span)) = self.span(index) else { continue };
            spans[shard].push(*span);
            subset.update(&index.to_le_bytes());
        }
        let mut inner = Inner::with_spans(
            source.clone(),
            names.clone(),
            stamps.clone(),
            spans.into_iter().map(Vec::into_boxed_slice).collect(),
        );
        (inner.digests, inner.faults, inner.digest) = (digests.clone(), faults.clone(), subset.digest());
        Self { inner: Arc::new(inner) }
    }

    /// The samples of one rank from a position on, in the order given, read ahead by threads of their own.
    ///
    /// What makes the arguments impossible (more ranks than samples, a position past the end of an epoch) is the
    /// stream's first and only item.
    pub fn samples(&self, order: Order, share: Share, from: Position) -> Samples {
        Samples::spawn(self.clone(), order, share, from)
    }

    /// Where a sample lies. Its key is read from the shard.
    pub fn locate(&self, index: u64) -> Result<Location> {
        let (shard, span) = self.span(index).ok_or(Error::Index { index, len: self.len() })?;
        let opened = self.open_shard(shard);
        let key = opened.and_then(|opened| read::key(&opened, span.head));
        let key = key.map_err(|source| self.sample_error(index, None, source))?;
        Ok(Location { shard: self.inner.names[shard].shared(), offset: span.image, key })
    }

    /// Samples of a shard.
    pub fn samples_in(&self, shard: usize) -> u64 {
        self.inner.spans[shard].len() as u64
    }

    /// The keys of a shard's samples, in order, each with the sample's number. Headers alone are read.
    ///
    /// # Errors
    /// The shard, or the first of its samples whose header cannot be read.
    pub fn keys(&self, shard: usize) -> Result<Vec<(u64, String)>> {
        let first = self.inner.starts[shard];
        let opened = self.open_shard(shard).map_err(|source| self.sample_error(first, None, source))?;
        let spans = self.inner.spans[shard].iter();
        let keyed = (first..).zip(spans).map(|(index, span)| match read::key(&opened, span.head) {
            Ok(key) => Ok((index, key)),
            Err(source) => Err(self.sample_error(index, None, source)),
        });
        keyed.collect()
    }

    /// The number of the first sample with this key; none where there is none. Reads through the shards until it is found.
    ///
    /// # Errors
    /// It was not found, but not every shard could be read.
    pub fn find(&self, key: &str) -> Result<Option<u64>> {
        let mut failed = None;
        for (shard, spans) in self.inner.spans.iter().enumerate() {
            let first = self.inner.starts[shard];
            let opened = match self.open_shard(shard) {
                Ok(opened) => opened,
                Err(source) => {
                    failed.get_or_insert(self.sample_error(first, None, source));
                    continue;
                }
            };
            for (index, span) in (first..).zip(spans.iter()) {
                match read::key(&opened, span.head) {
                    Ok(found) if found == key => return Ok(Some(index)),
                    Ok(_) => {}
                    Err(source) => {
                        failed.get_or_insert(self.sample_error(index, None, source));
                    }
                }
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// The shard (as a place in [`shards`](Self::shards)) and the span of a sample.
    pub(crate) fn span(&self, index: u64) -> Option<(usize, &Span)> {
        let shard = self.inner.starts.partition_point(|&start| start <= index).checked_sub(1)?;
        let span = self.inner.spans.get(shard)?.get((index - self.inner.starts[shard]) as usize)?;
        Some((shard, span))
    }

    /// Opens a shard, whose samples must still be those that were indexed.
    pub(crate) fn open_shard(&self, shard: usize) -> std::io::Result<crate::Shard> {
        let (name, stamp) = (&self.inner.names[shard], self.inner.stamps[shard]);
        let opened = self.inner.source.open(name).map_err(into_io)?;
        if opened.stamp() == stamp {
            return Ok(opened);
        }
        if self.accepts(shard, opened.stamp()) {
            return Ok(opened);
        }
        // A copy in its place, other permissions or a link are no change of the samples, which the headers tell.
        let is_indexed =
            || index::scan(name, &opened).is_ok_and(|index| index.digest == self.inner.digests[shard]);
        if opened.stamp().looks_like(&stamp) && is_indexed() {
            self.accepted().insert(shard, opened.stamp());
            return Ok(opened);
        }
        Err(std::io::Error::other("the shard was changed after it was indexed"))
    }

    /// Whether the headers were looked at already under this stamp. The number of the file may be another one: some systems make
    /// it up at each opening, and no other file has the same time of change, where there is one.
    fn accepts(&self, shard: usize, stamp: Stamp) -> bool {
        self.accepted().get(&shard).is_some_and(|&accepted| {
            accepted == stamp || stamp.changed_ns > 0 && accepted == Stamp { inode: accepted.inode, ..stamp }
        })
    }

    fn accepted(&self) -> MutexGuard<'_, HashMap<usize, Stamp>> {
        self.inner.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sample_error(&self, index: u64, key: Option<String>, source: std::io::Error) -> Error {
        let found = self.span(index);
        Error::Sample {
            shard: found.map_or_else(|| "".into(), |(shard, _)| self.inner.names[shard].shared()),
            offset: found.map_or(0, |(_, span)| span.image),
            key: key.unwrap_or_else(|| format!("#{index}")),
            source,
        }
    }
}

fn into_io(error: Error) -> std::io::Error {
    match error {
        Error::Open { source, .. } => source,
        other => std::io::Error::other(other),
    }
}

impl Inner {
    fn new(source: Arc<dyn Source>, names: Vec<ShardName>, indices: Vec<(Stamp, Index)>) -> Self {
        let mut digest = Xxh3::new();
        let (mut stamps, mut spans, mut faults, mut remarks) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut digests = Vec::with_capacity(names.len());
        for (name, (stamp, index)) in names.iter().zip(indices) {
            digest.update(name.base().as_bytes());
            digest.update(&stamp.size.to_le_bytes());
            digest.update(&index.digest.to_le_bytes());
            let fault = |fault: index::Fault| ShardFault {
                shard: name.shared(),
                offset: fault.offset,
                reason: fault.reason,
            };
            faults.extend(index.faults.into_iter().map(fault));
            remark::add_up(&mut remarks, &name.shared(), index.tallies);
            stamps.push(stamp);
            digests.push(index.digest);
            spans.push(index.spans);
        }
        let mut inner = Self::with_spans(source, names, stamps, spans);
        (inner.digests, inner.faults, inner.remarks, inner.digest) =
            (digests, faults, remarks, digest.digest());
        inner
    }

    /// What follows from the spans; faults, remarks and digests are the caller's to fill in.
    fn with_spans(
        source: Arc<dyn Source>,
        names: Vec<ShardName>,
        stamps: Vec<Stamp>,
        spans: Vec<Box<[Span]>>,
    ) -> Self {
        let mut starts = vec![0];
        for spans in &spans {
            starts.push(starts[starts.len() - 1] + spans.len() as u64);
        }
        let labels = || spans.iter().flatten().filter_map(Span::label);
        let (labelled, classes) = (labels().count() as u64, labels().max().map(|label| label + 1));
        Self {
            source,
            names,
            stamps,
            starts,
            digests: Vec::new(),
            accepted: Mutex::default(),
            faults: Vec::new(),
            remarks: Vec::new(),
            labelled,
            classes,
            digest: 0,
            spans,
        }
    }
}

/// Threads that index shards on so many cores, unless another number is asked for; each has a file open.
pub fn index_threads(cores: usize) -> usize {
    (8 * cores).min(64)
}

/// The indices of all shards, or the first error that a thread met.
fn read_indices(
    source: &dyn Source,
    names: &[ShardName],
    config: &IndexConfig,
) -> Result<Vec<(Stamp, Index)>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if config.threads == 0 { index_threads(cores) } else { config.threads };
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(names.len()));
    let work = || {
        while let Some((number, name)) = take(&next, names) {
            let result = read_index(source, name, config);
            if result.is_err() {
                next.store(names.len(), Ordering::Relaxed); // the others need not go on
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(names.len()) {
            // Where the system allows no more threads, those that there are do.
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

fn take<'a>(next: &AtomicUsize, names: &'a [ShardName]) -> Option<(usize, &'a ShardName)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    Some((number, names.get(number)?))
}

fn read_index(source: &dyn Source, name: &ShardName, config: &IndexConfig) -> Result<(Stamp, Index)> {
    let entry = |stamp| Some(CacheEntry::new(config.cache.as_deref()?, source.identity(name)?, stamp));
    let stamp = source.stamp(name)?;
    if let Some(index) = entry(stamp).and_then(|entry| entry.load()) {
        return Ok((stamp, index));
    }
    let shard = source.open(name)?;
    let index = index::scan(name, &shard)?;
    if let (Some(entry), true) = (entry(shard.stamp()), index.is_lasting) {
        entry.store(&index);
    }
    Ok((shard.stamp(), index))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::{LocalSource, ShardWriter};

    #[test]
    fn headers_of_a_shard_whose_permissions_changed_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let mut writer = ShardWriter::create(&path).unwrap();
        writer.append("k", &[("jpg", b"image")]).unwrap();
        writer.finish().unwrap();
        let source = LocalSource::new(&[path.to_str().unwrap().to_owned()]).unwrap();
        let set = ShardSet::open(source, &IndexConfig::default()).unwrap();
        let stamp = |set: &ShardSet| set.open_shard(0).unwrap().stamp();
        let indexed = stamp(&set);
        while stamp(&set) == indexed {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap(); // the clock moves in steps
        }
        let accepted = stamp(&set);
        assert!(set.accepts(0, accepted) && !set.accepts(0, indexed));
        assert!(set.accepts(0, Stamp { inode: 1, ..accepted }), "a system that makes up numbers");
        assert!(!set.accepts(0, Stamp { changed_ns: accepted.changed_ns + 1, ..accepted }));
        assert!(!set.subset(vec![0]).accepts(0, accepted), "it looks for itself");
    }
}
