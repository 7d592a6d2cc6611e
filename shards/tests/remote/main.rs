//! Shards on servers: the same samples as from files, whatever the server, the cache and the network do.
#![cfg(feature = "remote")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod cache;
mod faults;
mod index;
mod names;
mod place;
mod replaced;
mod same;
mod start;
mod traffic;
