//! `amdim-stream index`: writes the index beside shards, from which programs that read them from a server take it.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde_json::json;
use shards::{ShardName, ShardSet, Source, index_path, is_index, write_index};

use crate::{
    data, failure, hint, numbers,
    servers::{self, ServerArgs},
    stdout, usage,
};

/// The flags of `index`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Shards to index, in files or on servers
    #[arg(long, value_name = "PATTERN", num_args = 1.., required = true)]
    pub shards: Vec<String>,
    /// Folder for the index files; needed for shards on servers [default: beside the shards]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Shards that are read at a time [default: for files one per core, for servers --remote-connections]
    #[arg(long, value_name = "N", value_parser = numbers::THREADS.parser::<usize>())]
    pub workers: Option<usize>,
    /// How shards on servers are read
    #[command(flatten)]
    pub servers: ServerArgs,
}

/// Writes `NAME.tar.index` for each shard whose index is missing or is that of another version, and prints how many.
///
/// # Errors
/// Shards on a server are named without `--out`, or some shards cannot be read.
pub fn run(args: &Args) -> Result<()> {
    args.servers.apply();
    let source = servers::source(&args.shards)?;
    let names = source.list()?;
    let connections = source.parts().map(shards::Parts::connections);
    if connections.is_some() && args.out.is_none() {
        return Err(usage!(
            "the shards are on a server, to which this program does not write";
            "name a folder with -o, then upload the files in it beside the shards"
        ));
    }
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| format!("cannot create `{}`", out.display()))?;
    }
    let threads = args.workers.or(connections).unwrap_or_else(data::cores);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let (present, written) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed: Vec<String> = pool.install(|| {
        let work = names.par_iter().with_max_len(1).filter_map(|name| {
            match write(&*source, name, args.out.as_deref()) {
                Ok(true) => written.fetch_add(1, Relaxed),
                Ok(false) => present.fetch_add(1, Relaxed),
                Err(error) => {
                    tracing::error!("`{name}` is not indexed: {}", hint::causes(&error));
                    return Some(name.to_string());
                }
            };
            None
        });
        work.collect()
    });
    let (present, written) = (present.into_inner(), written.into_inner());
    stdout::say(&format!("index files written: {written}; already there: {present}"))?;
    if let (Some(out), true) = (&args.out, connections.is_some()) {
        stdout::say(&format!("upload them beside the shards, {}", upload(out, &names)))?;
    }
    stdout::print(&json!({
        "shards": names.len(), "written": written, "present": present, "failed": failed, "out": args.out,
    }))?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(failure!(
        "{} of {} shards are not indexed", failed.len(), names.len();
        "run `amdim-stream verify` with these shards: it says what is wrong with each"
    ))
}

/// Writes the index of a shard. Returns false if it is there already.
fn write(source: &dyn Source, name: &ShardName, out: Option<&Path>) -> Result<bool> {
    let place = out.map_or_else(|| PathBuf::from(name.as_str()), |out| out.join(name.base()));
    let path = index_path(&place);
    if is_index(&path, source.stamp(name)?.size) {
        return Ok(false);
    }
    let index = ShardSet::index_beside(source, name, &data::index_config())?;
    write_index(&path, &index)?;
    Ok(true)
}

/// Returns the command that uploads a folder beside the shards.
fn upload(out: &Path, names: &[ShardName]) -> String {
    let (out, first) = (out.display(), names.first().map_or("", ShardName::as_str));
    let folder = first.rsplit_once('/').map_or(first, |(folder, _)| folder);
    match first.split_once("://").map(|(scheme, _)| scheme) {
        Some("s3") => format!("e.g. `aws s3 cp --recursive {out} {folder}/`"),
        Some("gs") => format!("e.g. `gcloud storage cp {out}/* {folder}/`"),
        Some("az") => "e.g. with `az storage blob upload-batch`".to_owned(),
        _ => format!("at {folder}/"),
    }
}
