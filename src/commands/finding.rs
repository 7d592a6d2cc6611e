//! Prints the results of checks.

use anyhow::Result;
use serde_json::Value;
use tracing::Level;

use crate::{hint::Notice, stdout};

/// Prints a result in words and as JSON. Where results are JSON, the words of a bad one are logged as an error
/// and those of a doubtful one as a warning.
///
/// # Errors
///
/// If stdout cannot be written to.
pub(super) fn print(level: Level, words: Notice, json: &Value) -> Result<()> {
    let line = words.to_string();
    match level {
        Level::WARN if stdout::is_json() => tracing::warn!("{line}"),
        Level::ERROR if stdout::is_json() => tracing::error!("{line}"),
        _ => stdout::say(&line)?,
    }
    stdout::print(json)
}
