//! The sets that a command reads, opened once.

use std::{collections::HashSet, env, fs, os::unix::fs::MetadataExt, path::PathBuf, thread};

use anyhow::{Context, Result};
use dataset::ClassNames;
use pipeline::LoaderConfig;
use shards::{IndexConfig, Remark, RemarkKind, ShardName, ShardSet};

use crate::{
    config::{Config, DataConfig},
    failure, usage,
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
    /// Their names, by label; empty where they are not known.
    pub class_names: Vec<String>,
}

impl Data {
    /// Opens and indexes both sets.
    ///
    /// # Errors
    /// One cannot be opened, or a label means one class here and another there.
    pub fn open(config: &DataConfig) -> Result<Self> {
        if config.shards.is_empty() {
            return Err(
                usage!("no shards are named to train on"; "name them: amdim-stream --shards 'data/train-<000..999>.tar'"),
            );
        }
        let train = open(&config.shards)?;
        let (classes, mut names) = (train.classes(), ClassNames::of(&train)?);
        check_label_range(classes, train.labelled())?;
        let validation = match config.val_shards.as_slice() {
            [] => None,
            patterns => Some(open(patterns).context("validation shards")?),
        };
        if let Some(validation) = &validation {
            names = common(names, ClassNames::of(validation)?)?;
            check_classes(classes, validation.classes())?;
            warn_of_shared(&train, validation);
        }
        let class_names = names.zip(classes).and_then(|(names, classes)| names.of_classes(classes));
        Ok(Self { train, validation, classes, class_names: class_names.unwrap_or_default() })
    }
}

/// The names that training and validation have in common: those of the training shards, where validation's do not contradict.
fn common(train: Option<ClassNames>, validation: Option<ClassNames>) -> Result<Option<ClassNames>> {
    match (train, validation) {
        (Some(train), Some(validation)) => Ok(Some(train.joined(validation)?)),
        (Some(train), None) => {
            train.warn_of_unnamed("the validation shards");
            Ok(Some(train))
        }
        (None, Some(validation)) => {
            validation.warn_of_unnamed("the training shards");
            Ok(None)
        }
        (None, None) => Ok(None),
    }
}

/// Validation by samples that were trained on says how well they are remembered.
fn warn_of_shared(train: &ShardSet, validation: &ShardSet) {
    let shared = shared(train.shards(), validation.shards());
    if shared.is_empty() {
        return;
    }
    let named: Vec<_> = shared.iter().take(5).map(|shard| format!("`{shard}`")).collect();
    tracing::warn!(
        "{} of the {} validation shards are also training shards: {}{}; validation then measures how well samples are remembered, not how \
         well new ones are recognized\n  hint: leave them out of --shards",
        shared.len(),
        validation.shards().len(),
        named.join(", "),
        if named.len() < shared.len() { " and others" } else { "" }
    );
}

/// The shards of the second list that are in the first, by whatever names.
fn shared<'a>(of: &[ShardName], among: &'a [ShardName]) -> Vec<&'a ShardName> {
    // Size and times are there for systems that give a file's number twice.
    let file = |shard: &ShardName| {
        let file = fs::metadata(shard.as_str()).ok()?;
        let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
        Some((file.dev(), file.ino(), file.len(), times))
    };
    let (names, files): (HashSet<_>, HashSet<_>) =
        (of.iter().collect(), of.iter().filter_map(file).collect());
    let is_shared =
        |shard: &&ShardName| names.contains(shard) || file(shard).is_some_and(|file| files.contains(&file));
    among.iter().filter(is_shared).collect()
}

/// A probe has an output for every label up to the largest: one stray label must not make it huge.
fn check_label_range(classes: Option<u32>, labelled: u64) -> Result<()> {
    const MANY: u32 = 10_000;
    let Some(classes) = classes.filter(|&classes| u64::from(classes) > labelled) else { return Ok(()) };
    if classes > MANY {
        return Err(failure!(
            "labels go up to {}, but only {labelled} samples are labelled", classes - 1;
            "number the classes from 0 on, as `amdim-stream pack` does"
        ));
    }
    tracing::warn!("labels go up to {}, but only {labelled} samples are labelled", classes - 1);
    Ok(())
}

/// Validation makes sense only of classes that training has.
fn check_classes(train: Option<u32>, validation: Option<u32>) -> Result<()> {
    match (train, validation) {
        (_, None) => Err(failure!(
            "no validation sample is labelled";
            "add `cls` members to the samples, or `label` in their `json` members"
        )),
        (None, Some(_)) => Err(failure!(
            "no training sample is labelled, so the probes cannot be validated";
            "train without --val-shards, or label the training samples"
        )),
        (Some(train), Some(validation)) if validation > train => Err(failure!(
            "the validation shards have a label {}, the training shards only 0 to {}", validation - 1, train - 1;
            "number the classes of both in the same way: pack the validation images with `amdim-stream pack --classes` and the \
             classes.txt of the training shards"
        )),
        _ => Ok(()),
    }
}

/// Opens and indexes the shards that the patterns name.
pub fn open(patterns: &[String]) -> Result<ShardSet> {
    let source = shards::open(patterns)?;
    let set = ShardSet::open(source, &index_config())?;
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
        format!("{count} {}; the first:{name} shard `{shard}` at byte {offset}{detail}", kind.words(*count));
    if *kind == RemarkKind::Ignored {
        tracing::info!("{words}");
    } else {
        tracing::warn!("{words}");
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
        max_bad: config.run.max_bad,
        ..LoaderConfig::default()
    }
}

/// How shards are indexed.
pub(crate) fn index_config() -> IndexConfig {
    IndexConfig { cache: cache_folder(), threads: 0 }
}

/// Where indices are kept from run to run; none on a machine without a home.
fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let ours = absolute("AMDIM_STREAM_CACHE");
    let users = || absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    ours.or_else(|| users().map(|cache| cache.join("amdim-stream"))).map(|cache| cache.join("index"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validation_shard_is_known_among_the_training_shards_by_any_name() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("a.tar"), "a").unwrap();
        fs::write(path("b.tar"), "b").unwrap();
        fs::copy(path("a.tar"), path("copy.tar")).unwrap();
        std::os::unix::fs::symlink("a.tar", path("link.tar")).unwrap();
        fs::hard_link(path("a.tar"), path("hard.tar")).unwrap();
        let names = |names: &[&str]| names.iter().map(|name| ShardName::from(path(name))).collect::<Vec<_>>();
        let train = names(&["a.tar", "b.tar"]);
        let validation = names(&["./a.tar", "link.tar", "hard.tar", "b.tar", "copy.tar", "gone.tar"]);
        assert_eq!(shared(&train, &validation), validation.iter().take(4).collect::<Vec<_>>());
    }
}
