//! Shards on servers: object stores and web servers.
//!
//! The unit of reading is a part of a shard, the neighbours of a chunk of the order. A part is fetched by one request
//! for a byte range of the version that was indexed, and kept as one immutable file of the cache.

mod address;
mod ask;
mod cache;
mod failure;
mod fetch;
mod link;
mod listing;
mod measure;
mod object;
mod options;
mod scan;
mod source;
mod stores;
mod traffic;
mod wire;

pub(crate) use fetch::Fetcher;
pub(crate) use link::Link;
pub(crate) use options::check as check_options;
pub(crate) use source::RemoteSource;
