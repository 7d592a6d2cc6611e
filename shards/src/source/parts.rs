//! Shards that are read in parts, since they lie elsewhere.

use std::{any::Any, fmt, io, ops::Range, sync::atomic::AtomicBool, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Shard, ShardName, Stamp};

/// Access to parts of shards that lie on a server.
pub trait Parts: fmt::Debug + Send + Sync {
    /// Opens a part of a shard: it has the bytes `range` of the version `stamp`. Waits until they are there, at most
    /// until `is_over` is set.
    ///
    /// # Errors
    /// The shard was replaced or removed, which concerns its samples alone; or an error that ends the reading, whose
    /// inner error is an [`Unavailable`](crate::Unavailable).
    fn open(
        &self,
        name: &ShardName,
        stamp: Stamp,
        range: Range<u64>,
        is_over: &AtomicBool,
    ) -> io::Result<Shard>;

    /// Begins to fetch a part, after those that were wanted before it.
    fn want(&self, name: &ShardName, stamp: Stamp, range: Range<u64>) -> Wanted;

    /// Returns the index of a shard that lies beside it on the server; `None` if there is none.
    ///
    /// # Errors
    /// The server does not say whether there is one.
    fn index(&self, name: &ShardName) -> crate::Result<Option<Vec<u8>>>;

    /// Returns the content of a file in the folder of a shard; `None` if there is none.
    ///
    /// # Errors
    /// The server does not say whether there is one.
    fn sibling(&self, name: &ShardName, file: &str) -> crate::Result<Option<Vec<u8>>>;

    /// Checks that the cache can hold so many bytes, and lets it take them if the user has given no limit.
    ///
    /// # Errors
    /// [`SmallCache`](crate::Error::SmallCache).
    fn require(&self, bytes: u64) -> crate::Result<()>;

    /// Returns the number of requests at a time.
    fn connections(&self) -> usize;

    /// Returns the bytes that the cache may take.
    fn capacity(&self) -> u64;

    /// Measures the line: reads parts of the first and the last shard for `time` with 1, 8 and 32 requests at a time,
    /// without the cache.
    ///
    /// # Errors
    /// A server does not give a part.
    fn measure(&self, time: Duration) -> crate::Result<Vec<LineSpeed>>;

    /// Returns what was read so far.
    fn traffic(&self) -> Traffic;
}

/// A part that is fetched ahead. It stays in the cache at least until this is dropped.
#[must_use = "dropping it releases the part"]
pub struct Wanted(#[expect(dead_code, reason = "what matters is when it is dropped")] Box<dyn Any + Send>);

impl Wanted {
    /// Keeps a value until the part is no longer wanted.
    pub fn new(kept: impl Send + 'static) -> Self {
        Self(Box::new(kept))
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wanted")
    }
}

/// The speed of a line with a number of requests at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LineSpeed {
    /// The number of requests at a time.
    pub connections: usize,
    /// The bytes of a second, of all requests together.
    pub bytes_per_second: f64,
    /// The number of requests that were made.
    pub requests: u64,
}

/// What was read from servers, since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// The bytes that servers sent as content of shards, indices and lists.
    pub bytes: u64,
    /// The number of requests, retries included.
    pub requests: u64,
    /// The number of requests that repeat one that failed.
    pub retries: u64,
    /// The number of parts that were in the cache when they were needed or fetched ahead.
    pub hits: u64,
    /// The number of parts that were fetched.
    pub misses: u64,
    /// The number of parts in the cache that were damaged, and fetched again.
    pub damaged: u64,
    /// The nanoseconds that threads have waited for parts, added up.
    pub waited_ns: u64,
}
