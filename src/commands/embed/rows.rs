//! Rows of features, and the files that they are written to.

use std::path::Path;

use anyhow::Result;

use crate::hint::WithHint;

/// Rows for some samples of a shard, in its order.
pub(super) struct Rows {
    pub(super) keys: Vec<String>,
    /// The labels; below 0 where a sample has none.
    pub(super) labels: Vec<i64>,
    /// The features of all samples, one after the other.
    pub(super) values: Vec<f32>,
    /// The number of features of a sample.
    pub(super) width: usize,
}

/// Returns the name of a label's class, if it is known.
pub(super) fn class_of(names: &[String], label: i64) -> Option<&str> {
    names.get(usize::try_from(label).ok()?).map(String::as_str)
}

/// A writer of a shard's rows. The file has its final name only after `finish`.
pub(super) trait Sink {
    fn write(&mut self, rows: Rows) -> Result<()>;
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Adds the file's path and the hint how to go on to an error.
pub(super) fn written<T>(result: Result<T, impl Into<anyhow::Error>>, path: &Path) -> Result<T> {
    let hint = || "run the same command again to go on with this shard, or name another folder with --out";
    result.with_hint(hint).or_cannot_write(path)
}
