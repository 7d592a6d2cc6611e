//! The source of shards on servers.

use std::{
    collections::HashSet,
    io,
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures_util::{StreamExt, stream};

use super::{
    address::Address,
    failure::{Failure, FailureKind},
    fetch::{Fetcher, Target},
    link::unavailable,
    object::{Object, Version},
    scan::Scan,
};
use crate::{
    Error, Listing, PatternError, Result, Shard, ShardName, Source, Stamp, Unavailable,
    source::{LineSpeed, Parts, Traffic, Wanted},
};

/// Shards on servers.
#[derive(Debug)]
pub(crate) struct RemoteSource {
    fetcher: Arc<Fetcher>,
    names: Vec<ShardName>,
}

impl RemoteSource {
    /// Lists the objects that expanded patterns name, all of which must exist.
    ///
    /// # Errors
    /// An address is invalid, an object is missing or named twice, or a server does not answer.
    pub(crate) fn open(fetcher: Arc<Fetcher>, patterns: &[String]) -> Result<Self> {
        let names = fetcher.link.handle().block_on(list(&fetcher, patterns))?;
        Ok(Self { fetcher, names })
    }

    /// Returns an object of the list, with its version.
    fn object(&self, name: &ShardName) -> Result<(Object, Version), Unavailable> {
        match self.fetcher.link.seen(name.as_str()) {
            Some((object, Some(version))) => Ok((object, version)),
            Some((object, None)) => {
                let asked = self.fetcher.link.handle().block_on(self.fetcher.link.version(&object));
                asked
                    .map(|version| (object.clone(), version))
                    .map_err(|error| unavailable(&object.address, error))
            }
            None => Err(Unavailable {
                url: name.shared(),
                reason: "it is not in the list".to_owned(),
                hint: None,
            }),
        }
    }

    fn target(&self, name: &ShardName, stamp: Stamp, range: Range<u64>) -> io::Result<Target> {
        let (object, version) = self.object(name).map_err(io::Error::other)?;
        if version.stamp() != stamp {
            return Err(io::Error::other("it was replaced on the server after it was indexed"));
        }
        Ok(Target { object, version, range, is_block: false })
    }

    /// Reads a small object that may not be there.
    fn small(&self, address: impl FnOnce(&Address) -> Address, name: &ShardName) -> Result<Option<Vec<u8>>> {
        let (object, _) = self.object(name)?;
        let object = self.fetcher.link.object(address(&object.address))?;
        let read = self.fetcher.link.handle().block_on(self.fetcher.link.whole(&object));
        Ok(read.map_err(|failure| unavailable(&object.address, failure))?.map(|bytes| bytes.to_vec()))
    }
}

impl Source for RemoteSource {
    fn list(&self) -> Result<Vec<ShardName>> {
        Ok(self.names.clone())
    }

    fn stamp(&self, name: &ShardName) -> Result<Stamp> {
        Ok(self.object(name)?.1.stamp())
    }

    fn open(&self, name: &ShardName) -> Result<Shard> {
        let (object, version) = self.object(name)?;
        let stamp = version.stamp();
        let target = Target { object, range: 0..version.size, version, is_block: false };
        Ok(Shard::ranged(Arc::new(Scan::new(Arc::clone(&self.fetcher), target)), stamp))
    }

    fn identity(&self, name: &ShardName) -> Option<String> {
        Some(name.as_str().to_owned())
    }

    fn parts(&self) -> Option<&dyn Parts> {
        Some(self)
    }
}

impl Parts for RemoteSource {
    fn open(
        &self,
        name: &ShardName,
        stamp: Stamp,
        range: Range<u64>,
        is_over: &AtomicBool,
    ) -> io::Result<Shard> {
        self.fetcher.open(self.target(name, stamp, range)?, is_over)
    }

    fn want(&self, name: &ShardName, stamp: Stamp, range: Range<u64>) -> Wanted {
        Wanted::new(self.target(name, stamp, range).ok().map(|target| self.fetcher.want(target)))
    }

    fn index(&self, name: &ShardName) -> Result<Option<Vec<u8>>> {
        self.small(|address| address.with_suffix(".index"), name)
    }

    fn sibling(&self, name: &ShardName, file: &str) -> Result<Option<Vec<u8>>> {
        self.small(|address| address.sibling(file), name)
    }

    fn require(&self, bytes: u64) -> Result<()> {
        let fits = match &self.fetcher.link.cache {
            Some(cache) => cache.require(bytes),
            None => Err(0),
        };
        fits.map_err(|limit| Error::SmallCache { bytes, limit })
    }

    fn capacity(&self) -> u64 {
        self.fetcher.link.cache.as_ref().map_or(0, super::cache::Cache::limit)
    }

    fn connections(&self) -> usize {
        self.fetcher.link.config.connections
    }

    fn measure(&self, time: Duration) -> Result<Vec<LineSpeed>> {
        let ends = [self.names.first(), self.names.last()];
        let objects =
            ends.into_iter().flatten().map(|name| self.object(name)).collect::<Result<Vec<_>, _>>()?;
        self.fetcher.measure(&objects, time)
    }

    fn traffic(&self) -> Traffic {
        self.fetcher.traffic()
    }
}

/// Asks for the versions of all objects, several at a time, and returns their names in order.
async fn list(fetcher: &Fetcher, patterns: &[String]) -> Result<Vec<ShardName>> {
    let link = &fetcher.link;
    let mut objects = Vec::new();
    for pattern in patterns {
        objects.extend(link.list(pattern).await?);
    }
    let mut names = HashSet::new();
    if let Some(twice) = objects.iter().find(|object| !names.insert(Arc::clone(&object.address.shown))) {
        return Err(
            PatternError::Twice { path: twice.address.shown.as_ref().into(), also: String::new() }.into()
        );
    }
    let asked = stream::iter(&objects).map(async |object| match link.seen(&object.address.shown) {
        Some((_, Some(version))) => Ok(version),
        _ => link.version(object).await,
    });
    let versions: Vec<Result<Version, Failure>> =
        asked.buffered(link.config.connections.max(1)).collect().await;
    let missing = |(object, version): (&Object, &Result<Version, Failure>)| match version {
        Err(Failure { kind: FailureKind::Absent, .. }) => Some(object.address.shown.to_string()),
        _ => None,
    };
    let missing: Vec<String> = objects.iter().zip(&versions).filter_map(missing).collect();
    if !missing.is_empty() {
        return Err(PatternError::Absent { missing: Listing(missing), count: objects.len() }.into());
    }
    for (object, version) in objects.iter().zip(versions) {
        version.map_err(|failure| unavailable(&object.address, failure))?;
    }
    Ok(objects.iter().map(|object| ShardName::from(Arc::clone(&object.address.shown))).collect())
}
