//! Rows of features, and where they go.

use std::path::Path;

use anyhow::Result;

use crate::hint::WithHint;

/// Some samples of a shard, in its order.
pub(super) struct Rows {
    pub(super) keys: Vec<String>,
    /// None below 0.
    pub(super) labels: Vec<i64>,
    /// All of them, one after the other.
    pub(super) values: Vec<f32>,
    pub(super) width: usize,
}

/// The name of a label's class, where there is one.
pub(super) fn class_of(names: &[String], label: i64) -> Option<&str> {
    names.get(usize::try_from(label).ok()?).map(String::as_str)
}

/// Where a shard's rows go. Nothing is there under its name until it is finished.
pub(super) trait Sink {
    fn write(&mut self, rows: Rows) -> Result<()>;
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Says which file cannot be written, and how to go on.
pub(super) fn written<T>(result: Result<T, impl Into<anyhow::Error>>, path: &Path) -> Result<T> {
    let hint = || "run the same command again to go on with this shard, or name another folder with --out";
    result.with_hint(hint).or_cannot_write(path)
}
