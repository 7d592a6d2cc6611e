//! The catalog of a set: its shards, their samples, and access to them.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use xxhash_rust::xxh3::Xxh3;

use super::indexing::{IndexConfig, read_indices};
use crate::{
    Error, Remark, Result, Shard, ShardFault, ShardName, Source, Stamp, Unavailable,
    index::{self, ShardIndex},
    read, remark,
    span::Span,
};

/// The shards of a set and the places of their samples.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) source: Arc<dyn Source>,
    pub(super) names: Vec<ShardName>,
    pub(super) stamps: Vec<Stamp>,
    pub(super) spans: Vec<Box<[Span]>>,
    /// The number of the first sample of each shard, and at the end the number of all samples.
    pub(super) starts: Vec<u64>,
    /// For each shard a hash of keys, labels and places of its samples.
    pub(super) digests: Vec<u64>,
    /// New stamps of shards whose samples have not changed since they were indexed.
    accepted: Mutex<HashMap<usize, Stamp>>,
    pub(super) faults: Vec<ShardFault>,
    pub(super) remarks: Vec<Remark>,
    pub(super) labelled: u64,
    pub(super) classes: Option<u32>,
    pub(super) digest: u64,
}

impl Catalog {
    /// Lists the source's shards and reads their indices.
    pub(super) fn read(source: Arc<dyn Source>, config: &IndexConfig) -> Result<Self> {
        let names = source.list()?;
        let indices = read_indices(&*source, &names, config)?;
        Ok(Self::new(source, names, indices))
    }

    fn new(source: Arc<dyn Source>, names: Vec<ShardName>, indices: Vec<(Stamp, ShardIndex)>) -> Self {
        let mut digest = Xxh3::new();
        let (mut stamps, mut spans, mut faults, mut remarks) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut digests = Vec::with_capacity(names.len());
        for (name, (stamp, index)) in names.iter().zip(indices) {
            digest.update(name.base().as_bytes());
            digest.update(&stamp.size.to_le_bytes());
            digest.update(&index.digest.to_le_bytes());
            let shard = name.shared();
            faults.extend(index.faults.into_iter().map(|fault| fault.of(&shard)));
            remark::add_up(&mut remarks, &shard, index.tallies);
            stamps.push(stamp);
            digests.push(index.digest);
            spans.push(index.spans);
        }
        let mut inner = Self::with_spans(source, names, stamps, spans);
        (inner.digests, inner.faults, inner.remarks, inner.digest) =
            (digests, faults, remarks, digest.digest());
        inner
    }

    /// Makes a catalog of spans; the caller sets faults, remarks and digests.
    pub(super) fn with_spans(
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

    /// Returns the number of samples.
    pub(super) fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Returns the shard (its place in `names`) and the span of a sample.
    pub(super) fn span(&self, index: u64) -> Option<(usize, &Span)> {
        let shard = self.starts.partition_point(|&start| start <= index).checked_sub(1)?;
        let span = self.spans.get(shard)?.get((index - self.starts[shard]) as usize)?;
        Some((shard, span))
    }

    /// Opens a shard.
    ///
    /// # Errors
    /// The shard cannot be opened, or its samples have changed since they were indexed.
    pub(super) fn open_shard(&self, shard: usize) -> io::Result<Shard> {
        let (name, stamp) = (&self.names[shard], self.stamps[shard]);
        let opened = self.source.open(name).map_err(into_io)?;
        if opened.stamp() == stamp {
            return Ok(opened);
        }
        if self.accepts(shard, opened.stamp()) {
            return Ok(opened);
        }
        // A copy in its place, other permissions or a link leave the samples unchanged, as the headers tell.
        let is_indexed = || index::scan(name, &opened).is_ok_and(|index| index.digest == self.digests[shard]);
        if opened.stamp().looks_like(&stamp) && is_indexed() {
            self.accepted().insert(shard, opened.stamp());
            return Ok(opened);
        }
        Err(io::Error::other("the shard was changed after it was indexed"))
    }

    /// Returns whether the headers were checked under this stamp already. The inode may differ: some systems
    /// make it up at each opening, and no other file has the same time of change, where there is one.
    pub(super) fn accepts(&self, shard: usize, stamp: Stamp) -> bool {
        self.accepted().get(&shard).is_some_and(|&accepted| {
            accepted == stamp || stamp.changed_ns > 0 && accepted == Stamp { inode: accepted.inode, ..stamp }
        })
    }

    fn accepted(&self) -> MutexGuard<'_, HashMap<usize, Stamp>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the key of a sample.
    ///
    /// # Errors
    /// [`Error::Sample`] if its header cannot be read.
    pub(super) fn key(&self, index: u64) -> Result<String> {
        let Some((shard, span)) = self.span(index) else {
            return Err(Error::Index { index, len: self.len() });
        };
        let read = match (self.source.parts(), self.unit(index)) {
            (Some(parts), Some((_, range))) => {
                let (name, stamp) = (&self.names[shard], self.stamps[shard]);
                let part = parts.open(name, stamp, range, &AtomicBool::new(false));
                let whole = || self.open_shard(shard).map(Arc::new);
                part.and_then(|part| {
                    read::sample_of_part(&part, span, whole).map(|(key, _)| key).map_err(|error| error.source)
                })
            }
            _ => self.open_shard(shard).and_then(|shard| read::key(&shard, span.head)),
        };
        read.map_err(|source| self.sample_error(index, None, source))
    }

    /// Makes the error of a sample that cannot be read, or that of the server that does not give its shard.
    pub(super) fn sample_error(&self, index: u64, key: Option<String>, source: io::Error) -> Error {
        if let Some(unavailable) = Unavailable::of(&source) {
            return unavailable.clone().into();
        }
        let found = self.span(index);
        Error::Sample {
            shard: found.map_or_else(|| "".into(), |(shard, _)| self.names[shard].shared()),
            offset: found.map_or(0, |(_, span)| span.image),
            key: key.unwrap_or_else(|| format!("#{index}")),
            source,
        }
    }
}

fn into_io(error: Error) -> std::io::Error {
    match error {
        Error::Open { source, .. } => source,
        Error::Unavailable(error) => std::io::Error::other(error),
        other => std::io::Error::other(other),
    }
}
