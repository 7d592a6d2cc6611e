//! Sections whose setting `name` chooses which other settings they have.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error};
use toml::{Table, Value};

use super::{form::in_files_only, setting::Setting};
use crate::usage;

/// Reads a section and takes its name out of it. Without a name, it is `default`.
pub(crate) fn split<'de, D: Deserializer<'de>>(
    deserializer: D,
    default: &str,
) -> Result<(String, Table), D::Error> {
    let mut section = Table::deserialize(deserializer)?;
    match section.remove("name") {
        None => Ok((default.to_owned(), section)),
        Some(Value::String(name)) => Ok((name, section)),
        Some(other) => Err(D::Error::custom(format!("`name` = {other} is not a string"))),
    }
}

/// Reads the settings of a section without its name. An error says on its last line which setting it
/// concerns.
pub(crate) fn read<T: DeserializeOwned, E: Error>(section: Table) -> Result<T, E> {
    section.try_into().map_err(|error: toml::de::Error| E::custom(error.to_string().trim_end()))
}

/// Returns the one of `all` choices of a `kind`, such as "method", that is called `name`.
///
/// # Errors
///
/// If there is none of that name.
pub(crate) fn find<T>(
    kind: &str,
    name: &str,
    all: Vec<T>,
    name_of: impl Fn(&T) -> &'static str,
) -> anyhow::Result<T> {
    let names: Vec<_> = all.iter().map(&name_of).collect();
    let error = || usage!("there is no {kind} named `{name}`"; "name one of: {}", names.join(", "));
    all.into_iter().find(|choice| name_of(choice) == name).ok_or_else(error)
}

/// Returns the declarations of a section: that of `name`, described by `about`, and those of all choices, of
/// which `each` yields one after the other. Of settings with the same name only the first is returned: a
/// command line has one flag of a name.
pub(crate) fn united(about: &'static str, each: impl Iterator<Item = Vec<Setting>>) -> Vec<Setting> {
    let name = Setting::new("name", about, "", in_files_only());
    let mut known = BTreeSet::new();
    [name].into_iter().chain(each.flatten()).filter(|setting| known.insert(setting.name())).collect()
}
