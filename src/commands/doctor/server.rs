//! The check of the servers that shards lie on.

use std::time::Duration;

use shards::LineSpeed;

use super::check::Check;
use crate::{hint, servers};

/// The duration of a measurement with each number of requests at a time.
const TIME: Duration = Duration::from_millis(1_500);
const NAME: &str = "server";

/// Opens the shards that patterns name and reads some of them, past the cache. Shards in files need no check here.
pub(super) fn check(patterns: &[String]) -> Check {
    match tried(patterns) {
        Ok(None) => Check::ok(NAME, "the shards are files"),
        Ok(Some((shards, speeds))) => {
            let speed = |LineSpeed { connections, bytes_per_second, .. }: &LineSpeed| {
                format!("{:.0} MB/s with {connections}", bytes_per_second / 1e6)
            };
            let speeds: Vec<_> = speeds.iter().map(speed).collect();
            Check::ok(NAME, format!("shards: {shards}; {} requests at a time", speeds.join(", ")))
        }
        Err(error) => {
            let cure =
                hint::hints(&error).into_iter().next().unwrap_or_else(|| "check the address".to_owned());
            Check::bad(NAME, hint::causes(&error), cure)
        }
    }
}

fn tried(patterns: &[String]) -> anyhow::Result<Option<(usize, Vec<LineSpeed>)>> {
    let source = servers::source(patterns)?;
    let shards = source.list()?.len();
    let Some(parts) = source.parts() else { return Ok(None) };
    Ok(Some((shards, parts.measure(TIME)?)))
}
