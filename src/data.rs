//! The sets of samples that a command reads.

use std::{
    env,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use anyhow::{Context, Result};
use dataset::{ClassNames, Renamed, validation};
use pipeline::LoaderConfig;
use shards::{IndexConfig, Remark, RemarkKind, ShardSet};

use crate::{
    config::{Config, DataConfig},
    hint, notice, servers, usage,
};

/// Training and validation samples, and their classes.
#[derive(Debug, Clone)]
pub struct Data {
    /// The training samples.
    pub train: ShardSet,
    /// The samples that steps are made of: all of `train`, or those of them that the method chooses.
    pub trained: ShardSet,
    /// The samples by which the probes are judged.
    pub validation: Option<ShardSet>,
    /// The number of classes; none if no sample is labelled.
    pub classes: Option<u32>,
    /// The names of the classes by label; empty if they are not known.
    pub class_names: Vec<String>,
}

impl Data {
    /// Opens and indexes both sets.
    ///
    /// # Errors
    ///
    /// If a set cannot be opened, or if a label means different classes in both sets.
    pub fn open(config: &DataConfig) -> Result<Self> {
        if config.shards.is_empty() {
            return Err(
                usage!("no training shards are given"; "pass them with --shards, for example: amdim-stream --shards 'data/train-<000..999>.tar'"),
            );
        }
        let train = open(config, &config.shards)?;
        let (classes, mut names) = (train.classes(), ClassNames::of(&train)?);
        validation::check_labels(&train)?;
        let validation = match config.val_shards.as_slice() {
            [] => None,
            patterns => Some(open(config, patterns).context("validation shards")?),
        };
        if let Some(validation) = &validation {
            names = validation::common_names(names, ClassNames::of(validation)?)?;
            validation::check_classes(train.classes(), validation.classes())?;
            warn_of_shared(&train, validation);
        }
        let class_names = names.zip(classes).and_then(|(names, classes)| names.of_classes(classes));
        Ok(Self {
            trained: train.clone(),
            train,
            validation,
            classes,
            class_names: class_names.unwrap_or_default(),
        })
    }
}

/// Warns if validation shards are also training shards.
fn warn_of_shared(train: &ShardSet, judged: &ShardSet) {
    let shared = validation::shared_shards(train.shards(), judged.shards());
    if shared.is_empty() {
        return;
    }
    let named: Vec<_> = shared.iter().take(5).map(|shard| format!("`{shard}`")).collect();
    let warning = notice!(
        "{} of the {} validation shards are also training shards: {}{}; validation then measures how well samples are remembered, not how \
         well new ones are recognized",
        shared.len(),
        judged.shards().len(),
        named.join(", "),
        if named.len() < shared.len() { " and others" } else { "" };
        "leave them out of --shards"
    );
    tracing::warn!("{warning}");
}

/// Warns if the names of classes in the folder of the shards have changed since a checkpoint was trained.
pub(crate) fn warn_of_renamed(then: &[String], now: &[String]) {
    if let Some(Renamed { line, then, now }) = Renamed::between(then, now) {
        let warning = notice!(
            "line {line} of {} is `{now}`, but was `{then}` when the checkpoint was made, and the labels in the shards are the same: \
             results use the new names", ClassNames::FILE;
            "put the lines back in their order, unless classes were only renamed"
        );
        tracing::warn!("{warning}");
    }
}

/// Opens and indexes the shards that match the patterns, with the settings for servers.
///
/// # Errors
///
/// If a pattern matches no shard, or the shards cannot be read.
pub fn open(config: &DataConfig, patterns: &[String]) -> Result<ShardSet> {
    let source = config.source(patterns)?;
    let set = ShardSet::open(source, &index_config())?;
    for fault in set.faults() {
        tracing::warn!("shard `{}` at byte {}: {}", fault.shard, fault.offset, fault.reason);
    }
    set.remarks().iter().for_each(report_remark);
    Ok(set)
}

/// Reports something unusual about the members of a set, with their number and the first of them.
fn report_remark(remark: &Remark) {
    let Remark { kind, count, shard, offset, name, detail } = remark;
    let name = if name.is_empty() { String::new() } else { format!(" `{name}`,") };
    let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
    let cure = kind.hint().map_or_else(String::new, |hint| format!(": {}", hint::remark_words(hint, *count)));
    let words = kind.words(*count);
    let words = format!("{count} {words}{cure}; the first:{name} shard `{shard}` at byte {offset}{detail}");
    if *kind == RemarkKind::Ignored {
        tracing::info!("{words}");
    } else {
        tracing::warn!("{words}");
    }
}

/// The number of processes that share the cores of this one.
static SHARING: AtomicUsize = AtomicUsize::new(1);

/// Divides the cores that this process may use among so many processes.
pub fn share_cores(processes: usize) {
    SHARING.store(processes.max(1), Relaxed);
}

/// Returns the number of cores that this process may use: its share, where several processes train together.
pub fn cores() -> usize {
    let allowed = thread::available_parallelism().map_or(1, usize::from);
    (allowed / SHARING.load(Relaxed)).max(1)
}

/// Returns whether the user has given the number of computing threads by `OMP_NUM_THREADS`. torchrun sets 1 where no
/// number is given.
pub(crate) fn are_threads_given() -> bool {
    let is_torchruns = |value: &str| env::var_os("TORCHELASTIC_RUN_ID").is_some() && value == "1";
    env::var("OMP_NUM_THREADS").is_ok_and(|value| value.parse::<usize>().is_ok() && !is_torchruns(&value))
}

/// Returns the number of decoding threads: the setting, or else the number of cores.
pub(crate) fn workers(config: &Config) -> usize {
    config.run.workers.unwrap_or_else(cores)
}

/// Returns the settings of the loader for batches of this size.
pub(crate) fn loader(config: &Config, batch_size: usize) -> LoaderConfig {
    LoaderConfig {
        workers: workers(config),
        batch_size,
        decode: config.data.decode,
        max_bad: config.run.max_bad,
        ..LoaderConfig::default()
    }
}

/// Returns the settings for indexing shards.
pub(crate) fn index_config() -> IndexConfig {
    IndexConfig { cache: servers::cache_folder().map(|cache| cache.join("index")), threads: 0 }
}
