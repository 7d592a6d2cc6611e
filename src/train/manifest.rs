//! `manifest.json`: which shards a run saw, and how far it came.

use std::{collections::HashMap, fs, io::ErrorKind, path::Path};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shards::{LocalSource, ShardName, ShardSet, Source, Stamp};

use crate::{config::DataConfig, data::Data, files, promote::Promotion};

/// What a run was made of. Written when it begins, and again when it is finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The training shards, in order.
    pub(super) shards: Vec<Seen>,
    /// The validation shards.
    pub(super) val_shards: Vec<Seen>,
    /// Updates of the whole run.
    pub(super) steps: u64,
    /// When the last of them was made.
    pub(super) finished: Option<Timestamp>,
    /// What became of its promotion, once it was asked for.
    pub(super) promotion: Option<Promotion>,
}

/// A shard as it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Its name without the folder: shards that have moved or were copied have not changed, so that neither the number of
    /// the file nor the time of its change is part of this.
    name: String,
    /// Bytes.
    size: u64,
    /// When it was last written to, in nanoseconds since 1970.
    modified_ns: u64,
}

impl Seen {
    fn new(name: &ShardName, Stamp { size, modified_ns, .. }: Stamp) -> Self {
        Self { name: name.base().to_owned(), size, modified_ns }
    }
}

impl Manifest {
    /// Of a run that begins now, on the shards as they were indexed: what has come since, it does not see.
    pub(super) fn new(data: &Data, steps: u64) -> Self {
        let seen = |set: &ShardSet| set.stamped().map(|(name, stamp)| Seen::new(name, stamp)).collect();
        let (shards, val_shards) = (seen(&data.train), data.validation.as_ref().map_or_else(Vec::new, seen));
        Self { shards, val_shards, steps, finished: None, promotion: None }
    }

    /// None where there is none, or one that cannot be understood: then nobody knows what the run saw.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| {
                format!("cannot read `{}`\n  hint: see to its permissions and its disk, then run the same command again", path.display())
            }),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        files::replace(path, &text).with_context(|| {
            format!("cannot write `{}`\n  hint: see to space and permissions there", path.display())
        })
    }

    /// What was added, removed or altered since, in words; none where nothing was.
    pub(super) fn changes(&self, data: &DataConfig) -> Result<Option<String>> {
        let validation = difference(&self.val_shards, &seen(&data.val_shards)?);
        let validation = validation.map(|words| format!("validation shards: {words}"));
        let words = [self.changes_of_training(data)?, validation].into_iter().flatten().collect::<Vec<_>>();
        Ok((!words.is_empty()).then(|| words.join("; ")))
    }

    /// The same of the training shards alone.
    pub(super) fn changes_of_training(&self, data: &DataConfig) -> Result<Option<String>> {
        Ok(difference(&self.shards, &seen(&data.shards)?).map(|words| format!("shards: {words}")))
    }
}

fn seen(patterns: &[String]) -> Result<Vec<Seen>> {
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    let source = LocalSource::new(patterns)?;
    let names = source.list()?;
    names.iter().map(|name| Ok(Seen::new(name, source.stamp(name)?))).collect()
}

/// How two lists differ, counted by name; none where they do not.
fn difference(then: &[Seen], now: &[Seen]) -> Option<String> {
    if then == now {
        return None;
    }
    let by_name = |list: &[Seen]| -> HashMap<String, Seen> {
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

    /// Of files as they lie there, which need not be shards.
    fn of(data: &DataConfig) -> Manifest {
        let (shards, val_shards) = (seen(&data.shards).unwrap(), seen(&data.val_shards).unwrap());
        Manifest { shards, val_shards, steps: 7, finished: None, promotion: None }
    }

    #[test]
    fn what_was_added_removed_or_altered_is_told() {
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
        file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap(); // the same bytes, as far as one knows
        let words = manifest.changes(&data).unwrap().unwrap();
        assert_eq!(words, "shards: 2 added, 1 removed, 1 altered");
    }

    #[test]
    fn shards_that_have_moved_have_not_changed() {
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
}
