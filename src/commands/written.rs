//! Prints which shards `pack` or `synth` has written, in words and as JSON.

use anyhow::Result;
use dataset::Summary;
use indicatif::DecimalBytes;

use crate::stdout;

/// Prints what was written.
pub(super) fn print(summary: &Summary) -> Result<()> {
    let Summary { samples, shards, bytes, pattern, .. } = summary;
    let bytes = DecimalBytes(*bytes);
    stdout::say(&format!("{samples} samples in {shards} shards, {bytes}: --shards '{pattern}'"))?;
    if let Some(Summary { samples, shards, pattern, .. }) = summary.val.as_deref() {
        stdout::say(&format!("{samples} samples in {shards} shards: --val-shards '{pattern}'"))?;
    }
    stdout::print(&serde_json::to_value(summary)?)
}
