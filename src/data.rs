//! The sets that a command reads, opened once.

use std::{env, path::PathBuf, thread};

use anyhow::{Context, Result, bail};
use pipeline::LoaderConfig;
use shards::{IndexConfig, LocalSource, Remark, RemarkKind, ShardSet};

use crate::{
    config::{Config, DataConfig},
    usage,
};

/// Training and validation samples with what is known of their classes.
#[derive(Debug, Clone)]
pub struct Data {
    /// What is trained on.
    pub train: ShardSet,
    /// What the probes are judged by.
    pub validation: Option<ShardSet>,
    /// The number of classes; none when no sample is labelled.
    pub classes: Option<u32>,
}

impl Data {
    /// Opens and indexes both sets.
    pub fn open(config: &DataConfig) -> Result<Self> {
        if config.shards.is_empty() {
            return Err(usage!(
                "no shards to train on\n  hint: amdim-stream --shards 'data/train-<000..999>.tar'"
            ));
        }
        let train = open(&config.shards)?;
        let classes = train.classes();
        check_label_range(classes, train.labelled())?;
        let validation = match config.val_shards.as_slice() {
            [] => None,
            patterns => Some(open(patterns).context("validation shards")?),
        };
        if let Some(validation) = &validation {
            check_classes(classes, validation.classes())?;
        }
        Ok(Self { train, validation, classes })
    }
}

/// A probe has an output for every label up to the largest: one stray label must not make it huge.
fn check_label_range(classes: Option<u32>, labelled: u64) -> Result<()> {
    const MANY: u32 = 10_000;
    let Some(classes) = classes.filter(|&classes| u64::from(classes) > labelled) else { return Ok(()) };
    if classes > MANY {
        bail!(
            "labels go up to {}, but only {labelled} samples are labelled\n  hint: number the classes from 0 on; \
             `amdim-stream pack` does",
            classes - 1
        );
    }
    tracing::warn!("labels go up to {}, but only {labelled} samples are labelled", classes - 1);
    Ok(())
}

/// Validation makes sense only of classes that training has.
fn check_classes(train: Option<u32>, validation: Option<u32>) -> Result<()> {
    match (train, validation) {
        (_, None) => {
            bail!(
                "no validation sample is labelled\n  hint: validation needs `cls` members, or `label` in `json` ones"
            )
        }
        (None, Some(_)) => bail!(
            "no training sample is labelled, so there is nothing to validate\n  hint: train without --val-shards; evaluations need labels"
        ),
        (Some(train), Some(validation)) if validation > train => bail!(
            "the validation shards have a label {}, the training shards only 0 to {}\n  hint: both need the same numbering of classes",
            validation - 1,
            train - 1
        ),
        _ => Ok(()),
    }
}

/// Opens and indexes the shards that the patterns name.
pub fn open(patterns: &[String]) -> Result<ShardSet> {
    let source = LocalSource::new(patterns)?;
    let set = ShardSet::open(source, &IndexConfig { cache: cache_folder(), threads: 0 })?;
    for fault in set.faults() {
        tracing::warn!("shard `{}` at byte {}: {}", fault.shard, fault.offset, fault.reason);
    }
    set.remarks().iter().for_each(tell);
    Ok(set)
}

/// Says once what is unusual in a set's members, and names the first.
fn tell(remark: &Remark) {
    let Remark { kind, count, shard, offset, name, detail } = remark;
    let name = if name.is_empty() { String::new() } else { format!(" `{name}`,") };
    let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
    let words =
        format!("{count} {}; the first:{name} shard `{shard}` at byte {offset}{detail}", kind.words());
    match kind {
        RemarkKind::Ignored => tracing::info!("{words}"),
        _ => tracing::warn!("{words}"),
    }
}

/// Cores that this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Decoding threads: as many as asked for, else one a core.
pub(crate) fn workers(config: &Config) -> usize {
    config.run.workers.unwrap_or_else(cores)
}

/// How a configuration has batches of this size decoded.
pub(crate) fn loader(config: &Config, batch_size: usize) -> LoaderConfig {
    LoaderConfig {
        workers: workers(config),
        batch_size,
        decode: config.data.decode,
        faults: config.run.max_bad,
        ..LoaderConfig::default()
    }
}

/// Where indices are kept from run to run; none on a machine without a home.
fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let ours = absolute("AMDIM_STREAM_CACHE");
    let users = || absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    ours.or_else(|| users().map(|cache| cache.join("amdim-stream"))).map(|cache| cache.join("index"))
}
