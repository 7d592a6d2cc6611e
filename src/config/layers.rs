//! Settings on top of others: what was typed over a file, and over what an earlier run was.

use toml::{Table, Value};

use torchkit::Precision;

use super::whole::Config;

/// What was asked for, by where it was said.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// In the file of `--config`.
    pub file: Table,
    /// By flags.
    pub flags: Table,
}

impl Layers {
    /// The flags over the file.
    pub fn merged(&self) -> Table {
        let mut merged = self.file.clone();
        overlay(&mut merged, &self.flags);
        merged
    }
}

/// Puts `over` on top of `under`, key by key. Of `steps` and `epochs` the upper layer's one replaces both, and how a run of another
/// length came to it.
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

/// A saved configuration with the values that it does not contain: the name of AMDIM's encoder, which is not written, and f32 for
/// `auto`, which only runs of a version without mixed precision have.
pub(super) fn completed(saved: &Table) -> Table {
    let mut saved = saved.clone();
    if let Some(Value::Table(encoder)) = saved.get_mut("encoder") {
        encoder.entry("name").or_insert_with(|| Value::from("amdim"));
    }
    let precision = saved.get_mut("train").and_then(|train| train.get_mut("precision"));
    if let Some(precision) = precision.filter(|precision| precision.as_str() == Some("auto")) {
        *precision = Value::from(Precision::F32.to_string());
    }
    saved
}

/// What was asked for; `auto` asks for what the run has.
pub(super) fn without_auto(asked: &Table) -> Table {
    let mut asked = asked.clone();
    if let Some(Value::Table(train)) = asked.get_mut("train")
        && train.get("precision").and_then(Value::as_str) == Some("auto")
    {
        train.remove("precision");
    }
    asked
}

/// What was asked for, may not be changed, and differs from `saved`, as `key = now (was then)`. Whether a run's length may be
/// changed is for the run to say.
pub(super) fn contradictions(saved: &Table, asked: &Table) -> Vec<String> {
    let saved = flattened(saved, "");
    let settings = Config::settings();
    let is_free = |key: &str| settings.iter().any(|setting| setting.key == key && setting.is_free());
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

/// Whether two settings mean the same: `50` and `50.0` do.
fn same(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}

/// The values of a table and of those in it, by their dotted paths.
pub(super) fn flattened(table: &Table, prefix: &str) -> Vec<(String, Value)> {
    let entry = |(key, value): (&String, &Value)| match value {
        Value::Table(inner) => flattened(inner, &format!("{prefix}{key}.")),
        value => vec![(format!("{prefix}{key}"), value.clone())],
    };
    table.iter().flat_map(entry).collect()
}
