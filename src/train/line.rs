//! What a run reads from servers, and what holds that up.

use shards::Traffic;

use super::session::Run;
use crate::{
    metrics::{Line, RemoteNumbers},
    servers,
};

/// The share of the time that training waited for data from which on the server or the cache is the reason, if a thread
/// waited for parts.
const SHARE: f64 = 0.5;

/// Follows what a process reads from servers, from record to record.
#[derive(Debug)]
pub(super) struct LineWatch {
    connections: usize,
    /// The bytes of all training shards.
    bytes: u64,
    last: Traffic,
}

impl LineWatch {
    pub(super) fn of(run: &Run) -> Self {
        let (connections, bytes) = (run.config.data.remote_connections, run.data.train.bytes());
        Self { connections, bytes, last: servers::traffic().unwrap_or_default() }
    }

    /// Returns what was read so far, and what held it up since the last call, in which training has waited for data for
    /// `waited` seconds.
    pub(super) fn since(&mut self, waited: f64, epoch: f64) -> (RemoteNumbers, Option<Line>) {
        let Some(now) = servers::traffic() else { return (RemoteNumbers::default(), None) };
        let line = self.line(now, waited, epoch);
        self.last = now;
        (numbers(now), line)
    }

    fn line(&self, now: Traffic, waited: f64, epoch: f64) -> Option<Line> {
        let waited_for_parts = (now.waited_ns - self.last.waited_ns) as f64 / 1e9;
        if waited_for_parts < SHARE * waited || now.misses == self.last.misses {
            return None;
        }
        // In the first epoch everything comes from the server.
        let is_again = epoch > 1.0 && now.bytes > self.bytes + self.bytes / 20;
        Some(if is_again { Line::Cache(self.bytes) } else { Line::Requests(self.connections) })
    }
}

fn numbers(traffic: Traffic) -> RemoteNumbers {
    let Traffic { bytes, requests, retries, hits, misses, damaged: _, waited_ns } = traffic;
    RemoteNumbers {
        remote_bytes: Some(bytes as f64),
        remote_requests: Some(requests as f64),
        remote_retries: Some(retries as f64),
        remote_hits: Some(hits as f64),
        remote_misses: Some(misses as f64),
        remote_wait: Some(waited_ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_and_a_small_cache_are_told_apart() {
        let watch = LineWatch { connections: 32, bytes: 1_000_000, last: Traffic::default() };
        let now = Traffic { bytes: 900_000, misses: 9, waited_ns: 3_000_000_000, ..Traffic::default() };
        assert_eq!(watch.line(now, 4.0, 0.5), Some(Line::Requests(32)));
        assert_eq!(watch.line(Traffic { bytes: 2_000_000, ..now }, 4.0, 1.5), Some(Line::Cache(1_000_000)));
        assert_eq!(watch.line(now, 8.0, 0.5), None, "something else was waited for");
        assert_eq!(watch.line(Traffic { misses: 0, ..now }, 4.0, 0.5), None, "nothing was fetched");
    }
}
