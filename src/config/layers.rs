//! Layers of settings: flags over a file, and both over the settings of an earlier run.

use toml::{Table, Value};

use torchkit::Precision;

use super::whole::Config;
use crate::{encoder::EncoderConfig, optim};

/// The settings that were given, by their source.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// Settings in the file of `--config`.
    pub file: Table,
    /// Settings given by flags.
    pub flags: Table,
}

impl Layers {
    /// Returns the flags over the file.
    pub fn merged(&self) -> Table {
        let mut merged = self.file.clone();
        overlay(&mut merged, &self.flags);
        merged
    }
}

/// Puts `over` on top of `under`, key by key. `steps` or `epochs` in the upper layer replace both in the
/// lower one, and the `lengthened` entries that belong to them.
pub fn overlay(under: &mut Table, over: &Table) {
    if over.contains_key("steps") || over.contains_key("epochs") {
        for key in ["steps", "epochs", "lengthened"] {
            under.remove(key);
        }
    }
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => overlay(under, over),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Adds to a saved configuration the values that earlier versions did not write: one partition, the name of
/// AMDIM's encoder, which is not written, the defaults of the optimizer's settings that were added later, and f32 for `auto`,
/// which only runs of a version without mixed precision have.
pub(super) fn completed(saved: &Table) -> Table {
    let mut saved = saved.clone();
    if let Some(Value::Table(data)) = saved.get_mut("data") {
        data.entry("partitions").or_insert(Value::Integer(1));
    }
    if let Some(Value::Table(encoder)) = saved.get_mut("encoder") {
        encoder.entry("name").or_insert_with(|| Value::from(EncoderConfig::UNNAMED));
    }
    if let (Some(Value::Table(optim)), Ok(defaults)) =
        (saved.get_mut("optim"), Table::try_from(optim::Config::default()))
    {
        defaults.into_iter().for_each(|(key, value)| {
            optim.entry(key).or_insert(value);
        });
    }
    let precision = saved.get_mut("train").and_then(|train| train.get_mut("precision"));
    if let Some(precision) = precision.filter(|precision| precision.as_str() == Some("auto")) {
        *precision = Value::from(Precision::F32.to_string());
    }
    saved
}

/// Returns the given settings without `precision = "auto"`, which a resumed run takes from its saved
/// configuration.
pub(super) fn without_auto(asked: &Table) -> Table {
    let mut asked = asked.clone();
    if let Some(Value::Table(train)) = asked.get_mut("train")
        && train.get("precision").and_then(Value::as_str) == Some("auto")
    {
        train.remove("precision");
    }
    asked
}

/// Returns the given settings without `train.bn_groups` if they repeat what a saved configuration of an earlier version
/// has as a setting of `MoCo`.
pub(super) fn without_former_groups(saved: &Table, mut asked: Table) -> Table {
    let groups = |table: &Table, section: &str| table.get(section)?.get("bn_groups").cloned();
    let former = groups(saved, "method").filter(|_| groups(saved, "train").is_none());
    if former.is_some()
        && former == groups(&asked, "train")
        && let Some(Value::Table(train)) = asked.get_mut("train")
    {
        train.remove("bn_groups");
    }
    asked
}

/// Returns the given settings that contradict those in `saved`, each as `key = now (was then)`. Settings that
/// a resumed run may change do not contradict, and the length of a run is checked elsewhere.
pub(super) fn contradictions(saved: &Table, asked: &Table) -> Vec<String> {
    let saved = flattened(saved, "");
    let settings = Config::settings();
    let is_free = |key: &str| {
        is_of_a_store(key) || settings.iter().any(|setting| setting.key == key && setting.is_free())
    };
    flattened(asked, "")
        .into_iter()
        .filter(|(key, _)| !is_free(key))
        .filter_map(|(key, value)| match saved.iter().find(|(other, _)| *other == key) {
            Some((_, then)) if same(then, &value) => None,
            Some((_, then)) => Some(format!("`{key}` = {value} (was {then})")),
            None => Some(format!("`{key}` = {value} (was unset)")),
        })
        .collect()
}

/// Returns whether a key is one of the options of a store, which has a name of the user's.
pub(super) fn is_of_a_store(key: &str) -> bool {
    key.starts_with("data.stores.")
}

/// Returns whether two values are equal, as the integer `50` and the float `50.0` are.
fn same(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

/// Settings that may differ between the processes of a run: those of a machine.
pub const OF_A_MACHINE: [&str; 9] = [
    "out",
    "data.shards",
    "data.val_shards",
    "data.cache_dir",
    "data.cache_limit",
    "data.remote_connections",
    "run.device",
    "run.workers",
    "run.threads",
];

/// Returns the values of settings by their dotted keys.
pub fn flat(table: &Table) -> Vec<(String, String)> {
    flattened(table, "").into_iter().map(|(key, value)| (key, value.to_string())).collect()
}

/// Returns the given settings that are those of a machine.
pub(super) fn of_this_machine(asked: &Table) -> Table {
    let mut own = Table::new();
    for (key, value) in flattened(asked, "").into_iter().filter(|(key, _)| OF_A_MACHINE.contains(&&**key)) {
        match key.split_once('.') {
            None => drop(own.insert(key, value)),
            Some((section, key)) => {
                let section = own.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
                section.as_table_mut().expect("sections are tables").insert(key.to_owned(), value);
            }
        }
    }
    own
}

/// Returns the values of a table and of the tables in it, with their dotted keys.
pub(super) fn flattened(table: &Table, prefix: &str) -> Vec<(String, Value)> {
    let entry = |(key, value): (&String, &Value)| match value {
        Value::Table(inner) => flattened(inner, &format!("{prefix}{key}.")),
        value => vec![(format!("{prefix}{key}"), value.clone())],
    };
    table.iter().flat_map(entry).collect()
}
