//! The cache on disk: parts of shards, each an immutable file, shared by processes.

mod eviction;
mod folder;
mod part;

pub(super) use folder::{Cache, Lock, Pin};
pub(super) use part::PartId;
