//! The folder of the features, which contains those of one encoder, layer and set of shards.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use torchkit::Precision;

use super::{args::Args, rows::written};
use crate::{
    destination::{self, Contents},
    files::Partial,
    usage,
};

/// Checks that `out` is a place for a folder of features and not meant as a file.
pub(super) fn check(out: &Path) -> Result<()> {
    const FILES: [&str; 6] = ["parquet", "npy", "npz", "csv", "tsv", "safetensors"];
    let end = out.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if FILES.contains(&end.as_str()) && !out.is_dir() {
        return Err(usage!(
            "`{}` names a file, but `embed` writes a file for each shard", out.display();
            "name a folder with --out, and the format with --format parquet or --format npy"
        ));
    }
    destination::folder(out, Contents::Embeddings, None)
}

/// Writes `embedding.json`, which identifies the encoder, the layer and the shards, into a folder without
/// features. Otherwise checks that the features in the folder have the same origin. `--force` removes them.
///
/// # Errors
///
/// If the folder contains other features, or cannot be written to.
pub(super) fn claim(args: &Args, checksum: &str, digest: u64, precision: Precision) -> Result<()> {
    let path = args.out.join("embedding.json");
    let ours = origin(args, checksum, digest, precision);
    if args.force {
        remove_features(&args.out)?;
    } else if let Ok(bytes) = fs::read(&path) {
        return compare(&args.out, &ours, &serde_json::from_slice(&bytes).unwrap_or_default());
    }
    let result = Partial::beside(&path).and_then(|partial| partial.write(format!("{ours:#}\n").as_bytes()));
    written(result, &path)
}

/// Returns the contents of `embedding.json`.
fn origin(args: &Args, checksum: &str, digest: u64, precision: Precision) -> Value {
    let mut origin = json!({
        "model": checksum, "layer": args.layer, "format": args.format.extension(), "shards": args.shards,
        "digest": format!("{digest:016x}"),
    });
    if precision != Precision::F32 {
        origin["precision"] = json!(precision.to_string());
    }
    origin
}

/// Checks that the features in the folder have the origin `ours`.
fn compare(folder: &Path, ours: &Value, theirs: &Value) -> Result<()> {
    let mut entries = ours.as_object().into_iter().flatten();
    let Some((key, now)) = entries.find(|(key, value)| theirs[key.as_str()] != **value) else {
        return Ok(());
    };
    let what = match key.as_str() {
        "model" => "encoder",
        "shards" | "digest" => "set of shards",
        other => other,
    };
    let words = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Err(usage!(
        "`{}` contains features of another {what}: {} then, {} now", folder.display(), words(&theirs[key.as_str()]), words(now);
        "name another folder with --out, or replace them with --force"
    ))
}

/// Removes the files that an earlier call has written.
fn remove_features(folder: &Path) -> Result<()> {
    const ENDS: [&str; 4] = [".parquet", ".npy", ".tsv", ".left-out.jsonl"];
    let is_ours = |name: &str| {
        name.split_once('-').is_some_and(|(number, _)| number.parse::<u32>().is_ok())
            && ENDS.iter().any(|end| name.ends_with(end))
    };
    for entry in fs::read_dir(folder)?.flatten().filter(|entry| is_ours(&entry.file_name().to_string_lossy()))
    {
        let path = entry.path();
        fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    Ok(())
}
