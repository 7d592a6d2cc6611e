//! The servers that the shards of a run lie on: what an epoch asks of them, and what the line to them gives.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use shards::LineSpeed;

use crate::{report::grouped, train::Run};

/// The duration of a measurement with each number of requests at a time.
const TIME: Duration = Duration::from_millis(2_500);
/// The samples of a request.
const TOGETHER: u64 = 32;
/// What a million requests cost at Amazon S3, in US dollars.
const DOLLARS: f64 = 0.4;

/// The line to the servers.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    /// The bytes of all training shards, which an epoch reads unless the cache has them.
    bytes_an_epoch: u64,
    /// The requests of an epoch.
    requests_an_epoch: u64,
    /// The bytes that the cache may take.
    cache_bytes: u64,
    /// Whether the cache can hold all shards, so that later epochs read nothing from the servers.
    fits_cache: bool,
    /// The images/s that the line allows with the number of requests of the settings; none if it is not measured.
    images_per_second: Option<f64>,
    /// The speed with 1, 8 and 32 requests at a time.
    speeds: Vec<LineSpeed>,
}

impl Server {
    /// Measures the line of a run; `None` if its shards are files.
    pub(super) fn of(run: &Run, is_measured: bool) -> Result<Option<Self>> {
        let set = &run.data.train;
        let Some(parts) = set.source().parts() else { return Ok(None) };
        let speeds = if is_measured { parts.measure(TIME)? } else { Vec::new() };
        let (bytes, capacity) = (set.bytes(), parts.capacity());
        let connections = run.config.data.remote_connections;
        let nearest = speeds.iter().rev().find(|speed| speed.connections <= connections).or(speeds.first());
        let per_image = bytes as f64 / set.len() as f64;
        Ok(Some(Self {
            bytes_an_epoch: bytes,
            requests_an_epoch: set.len().div_ceil(TOGETHER),
            cache_bytes: capacity,
            fits_cache: bytes <= capacity / 10 * 9,
            images_per_second: nearest.map(|speed| speed.bytes_per_second / per_image),
            speeds,
        }))
    }

    /// Describes the line in words.
    pub(super) fn words(&self) -> Vec<String> {
        let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
        let cost = self.requests_an_epoch as f64 / 1e6 * DOLLARS;
        let mut words = vec![format!(
            "{} in {} requests an epoch ({cost:.3} US dollars at Amazon S3), {} of cache: {}",
            gigabytes(self.bytes_an_epoch),
            grouped(self.requests_an_epoch),
            gigabytes(self.cache_bytes),
            if self.fits_cache {
                "later epochs read nothing from the server"
            } else {
                "each epoch reads it again"
            }
        )];
        if let Some(rate) = self.images_per_second {
            let speed = |speed: &LineSpeed| {
                format!("{:.0} MB/s with {}", speed.bytes_per_second / 1e6, speed.connections)
            };
            let speeds: Vec<_> = self.speeds.iter().map(speed).collect();
            words.push(format!(
                "the line gives {} requests at a time: {} images/s",
                speeds.join(", "),
                grouped(rate.round() as u64)
            ));
        }
        words
    }
}
