//! Measurement of the line to the servers of some shards.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};

use super::{
    fetch::Fetcher,
    link::unavailable,
    object::{Object, Version},
};
use crate::{Result, source::LineSpeed};

/// The numbers of requests at a time that are tried.
const CONNECTIONS: [usize; 3] = [1, 8, 32];
/// The bytes of a request: those of 32 photos.
const PART: u64 = 4 << 20;

impl Fetcher {
    /// Reads parts of these objects for `time` with 1, 8 and 32 requests at a time, past the cache.
    ///
    /// # Errors
    /// A server does not give a part.
    pub(super) fn measure(&self, objects: &[(Object, Version)], time: Duration) -> Result<Vec<LineSpeed>> {
        let measure =
            |connections| self.link.handle().block_on(self.measure_with(objects, connections, time));
        CONNECTIONS.into_iter().map(measure).collect()
    }

    async fn measure_with(
        &self,
        objects: &[(Object, Version)],
        connections: usize,
        time: Duration,
    ) -> Result<LineSpeed> {
        let (begin, bytes, requests) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
        let read = async |number: usize| -> Result<()> {
            let (object, version) = &objects[number % objects.len()];
            let parts = version.size.div_ceil(PART).max(1);
            let start = number as u64 * 7919 % parts * PART;
            let range = start..(start + PART).min(version.size);
            let read = self.link.range(object, version, range).await;
            let read = read.map_err(|failure| unavailable(&object.address, failure))?;
            requests.fetch_add(1, Relaxed);
            bytes.fetch_add(read.len() as u64, Relaxed);
            Ok(())
        };
        let numbers = (0..).take_while(|_| begin.elapsed() < time);
        let mut reads = stream::iter(numbers).map(read).buffer_unordered(connections);
        while let Some(read) = reads.next().await {
            read?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        Ok(LineSpeed {
            connections,
            bytes_per_second: bytes.load(Relaxed) as f64 / seconds,
            requests: requests.load(Relaxed),
        })
    }
}
