//! Sets of shards for tests.
#![allow(dead_code, unused_imports, reason = "not every test binary uses everything")]
#![allow(clippy::allow_attributes, reason = "whether it is dead differs between binaries")]

mod sets;

pub(crate) use self::sets::{all, epochs, local, open, write, written};
