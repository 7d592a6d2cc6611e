//! `manifest.json`: the shards of a run, its length, and how it ended.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    io::ErrorKind,
    path::Path,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shards::{ShardName, ShardSet, Source, Stamp};

use crate::{
    config::DataConfig,
    data::{self, Data},
    files,
    hint::WithHint,
    run::{gate::Gate, promotion::Promotion},
};

/// The shards of a run and its end. It is written when the run begins and when it is finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The training shards, in order.
    pub(crate) shards: Vec<ShardEntry>,
    /// The validation shards.
    pub(crate) val_shards: Vec<ShardEntry>,
    /// The number of updates of the whole run.
    pub(crate) steps: u64,
    /// The time at which the run was finished.
    pub(crate) finished: Option<Timestamp>,
    /// The result of its promotion, if that was asked for.
    pub(crate) promotion: Option<Promotion>,
}

/// A shard as it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardEntry {
    /// The name without the folder, so that a shard that was moved or copied counts as unchanged.
    name: String,
    /// The size in bytes.
    size: u64,
    /// The time of the last write, in nanoseconds since 1970.
    modified_ns: u64,
    /// The contents; none in manifests of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    indexed: Option<Indexed>,
}

/// Details that reveal a replacement with the same size and modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Indexed {
    /// The time of the last change of the file's inode, in nanoseconds since 1970. Copying changes it, too.
    changed_ns: u64,
    /// The inode.
    inode: u64,
    /// A hash of the entity tag, for an object on a server.
    #[serde(default, skip_serializing_if = "is_zero")]
    tag: u64,
    /// The digest of keys, labels and places of its samples.
    digest: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(tag: &u64) -> bool {
    *tag == 0
}

impl ShardEntry {
    fn new(
        name: &ShardName,
        Stamp { size, modified_ns, changed_ns, inode, tag }: Stamp,
        digest: Option<u64>,
    ) -> Self {
        let indexed = digest.map(|digest| Indexed { changed_ns, inode, tag, digest });
        Self { name: name.base().to_owned(), size, modified_ns, indexed }
    }

    /// Returns the entry of a shard as it is now. It equals `then` if the samples are the same. The shard is
    /// read only if it is another file of the same size and time.
    fn now(source: &dyn Source, name: &ShardName, then: Option<&Self>) -> Result<Self> {
        let stamp = source.stamp(name)?;
        let now = Self::new(name, stamp, None);
        let Some(Indexed { changed_ns, inode, tag, digest }) = then.and_then(|then| then.indexed) else {
            return Ok(now);
        };
        // Objects have no time, so a shard that moves to a server or from one is compared by its samples.
        let is_elsewhere = (tag == 0) != (stamp.tag == 0);
        let looks_the_same = then.is_some_and(|then| {
            then.size == now.size && (is_elsewhere || then.modified_ns == now.modified_ns)
        });
        let is_same_file = (changed_ns, inode, tag) == (stamp.changed_ns, stamp.inode, stamp.tag);
        let is_same = looks_the_same
            && (is_same_file || ShardSet::digest_of(source, name, &data::index_config())? == digest);
        // Without `indexed`, the entry differs from `then`.
        let indexed = is_same.then_some(Indexed { changed_ns, inode, tag, digest });
        let modified_ns = then.filter(|_| is_same).map_or(now.modified_ns, |then| then.modified_ns);
        Ok(Self { modified_ns, indexed, ..now })
    }
}

impl Manifest {
    /// Returns whether an earlier start already promoted the run to this folder with these gates, or refused
    /// to.
    pub(crate) fn is_promoted(&self, folder: &Path, gates: &[Gate]) -> bool {
        self.promotion.as_ref().is_some_and(|promotion| promotion.is_of(folder, gates))
    }

    /// Returns the manifest of a run that begins now, with the shards as they were indexed.
    pub(crate) fn new(data: &Data, steps: u64) -> Self {
        let seen = |set: &ShardSet| {
            let digests = set.digests().iter().copied();
            set.stamped()
                .zip(digests)
                .map(|((name, stamp), digest)| ShardEntry::new(name, stamp, Some(digest)))
                .collect()
        };
        let (shards, val_shards) = (seen(&data.train), data.validation.as_ref().map_or_else(Vec::new, seen));
        Self { shards, val_shards, steps, finished: None, promotion: None }
    }

    /// Reads a manifest. Returns `None` if there is no file, or if it is damaged.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error)
                .with_context(|| format!("cannot read `{}`", path.display()))
                .with_hint(|| "check its permissions and its disk, then run the same command again"),
        }
    }

    /// Writes the manifest.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        files::replace(path, &text).or_cannot_write(path)
    }

    /// Describes how many shards were added, removed or altered since. Returns `None` if there are no
    /// changes.
    ///
    /// # Errors
    ///
    /// If the shards cannot be listed or read.
    pub(crate) fn changes(&self, data: &DataConfig) -> Result<Option<String>> {
        let validation = difference(&self.val_shards, &seen(data, &data.val_shards, &self.val_shards)?);
        let validation = validation.map(|words| format!("validation shards: {words}"));
        let words = [self.changes_of_training(data)?, validation].into_iter().flatten().collect::<Vec<_>>();
        Ok((!words.is_empty()).then(|| words.join("; ")))
    }

    /// Describes the [changes](Self::changes) of the training shards alone.
    pub(crate) fn changes_of_training(&self, data: &DataConfig) -> Result<Option<String>> {
        Ok(difference(&self.shards, &seen(data, &data.shards, &self.shards)?)
            .map(|words| format!("shards: {words}")))
    }
}

/// Returns the entries of the shards as they are now, each compared with the entry of the same name in
/// `then`. Entries that share a name are compared in order.
fn seen(data: &DataConfig, patterns: &[String], then: &[ShardEntry]) -> Result<Vec<ShardEntry>> {
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    let mut by_name: HashMap<&str, VecDeque<&ShardEntry>> = HashMap::new();
    for shard in then {
        by_name.entry(&shard.name).or_default().push_back(shard);
    }
    let source = data.source(patterns)?;
    let names = source.list()?;
    let now = |name: &ShardName| {
        let then = by_name.get_mut(name.base()).and_then(VecDeque::pop_front);
        ShardEntry::now(&*source, name, then)
    };
    names.iter().map(now).collect()
}

/// Describes how two lists differ, counted by name. Returns `None` if they are equal.
fn difference(then: &[ShardEntry], now: &[ShardEntry]) -> Option<String> {
    if then == now {
        return None;
    }
    let by_name = |list: &[ShardEntry]| -> HashMap<String, ShardEntry> {
        list.iter().map(|seen| (seen.name.clone(), seen.clone())).collect()
    };
    let (old, new) = (by_name(then), by_name(now));
    let added = now.iter().filter(|seen| !old.contains_key(&seen.name)).count();
    let removed = then.iter().filter(|seen| !new.contains_key(&seen.name)).count();
    let altered = now.iter().filter(|seen| old.get(&seen.name).is_some_and(|old| old != *seen)).count();
    Some(match (added, removed, altered) {
        (0, 0, 0) => "in another order".to_owned(),
        _ => format!("{added} added, {removed} removed, {altered} altered"),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        time::{Duration, SystemTime},
    };

    use super::*;

    /// Returns a manifest of files, which need not be shards.
    fn of(data: &DataConfig) -> Manifest {
        let (shards, val_shards) =
            (seen(data, &data.shards, &[]).unwrap(), seen(data, &data.val_shards, &[]).unwrap());
        Manifest { shards, val_shards, steps: 7, finished: None, promotion: None }
    }

    #[test]
    fn shards_that_were_added_removed_or_altered_are_counted() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for name in ["a.tar", "b.tar", "c.tar"] {
            fs::write(path(name), name).unwrap();
        }
        let data =
            DataConfig { shards: vec![path("*.tar").to_str().unwrap().to_owned()], ..DataConfig::default() };
        let manifest = of(&data);
        manifest.write(&path("manifest.json")).unwrap();
        let manifest = Manifest::read(&path("manifest.json")).unwrap().unwrap();
        assert_eq!(manifest.changes(&data).unwrap(), None);
        fs::remove_file(path("a.tar")).unwrap();
        fs::write(path("d.tar"), "d").unwrap();
        fs::write(path("e.tar"), "e").unwrap();
        let file = File::options().write(true).open(path("b.tar")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap(); // the time alone changes
        let words = manifest.changes(&data).unwrap().unwrap();
        assert_eq!(words, "shards: 2 added, 1 removed, 1 altered");
    }

    #[test]
    fn shards_that_were_moved_have_not_changed() {
        let place = tempfile::tempdir().unwrap();
        let data = |folder: &str| {
            let pattern = place.path().join(folder).join("a.tar");
            DataConfig { shards: vec![pattern.to_str().unwrap().to_owned()], ..DataConfig::default() }
        };
        fs::create_dir(place.path().join("old")).unwrap();
        fs::write(place.path().join("old/a.tar"), "a").unwrap();
        let manifest = of(&data("old"));
        fs::rename(place.path().join("old"), place.path().join("new")).unwrap();
        assert_eq!(manifest.changes(&data("new")).unwrap(), None);
    }

    #[test]
    fn a_shard_relabelled_under_its_old_size_and_time_has_changed_and_a_copy_has_not() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.tar");
        let data = DataConfig { shards: vec![path.to_str().unwrap().to_owned()], ..DataConfig::default() };
        let write = |label: &str| {
            let new = place.path().join("new");
            let image = pipeline::Rgb { width: 8, height: 8, pixels: vec![90; 3 * 8 * 8] };
            let image = pipeline::encode_jpeg(&image, 90).unwrap();
            let mut writer = shards::ShardWriter::create(&new).unwrap();
            writer.append("k", &[("jpg", &image), ("cls", label.as_bytes())]).unwrap();
            writer.finish().unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
            File::options().write(true).open(&new).unwrap().set_modified(time).unwrap();
            fs::rename(new, &path).unwrap();
        };
        write("1");
        let manifest = Manifest::new(&Data::open(&data).unwrap(), 7);
        assert_eq!(manifest.changes(&data).unwrap(), None);
        write("1");
        assert_eq!(manifest.changes(&data).unwrap(), None, "another file with the same samples");
        write("2");
        assert_eq!(manifest.changes(&data).unwrap().unwrap(), "shards: 0 added, 0 removed, 1 altered");
        let mut old = manifest;
        old.shards[0].indexed = None;
        assert_eq!(old.changes(&data).unwrap(), None, "earlier versions recorded size and time only");
    }
}
