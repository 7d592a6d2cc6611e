//! Sections whose setting `name` chooses which other settings they have.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error};
use toml::{Table, Value};

use super::{
    form::{Heading, one_of},
    setting::Setting,
};
use crate::usage;

/// Reads a section and takes its name out of it. Without a name, it is `default`.
pub(crate) fn split<'de, D: Deserializer<'de>>(
    deserializer: D,
    default: &str,
) -> Result<(String, Table), D::Error> {
    // JSON has a null for a setting without a value, which a file leaves out.
    let section = BTreeMap::<String, Option<Value>>::deserialize(deserializer)?;
    let mut section: Table = section.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
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

/// Returns the declarations of a section: that of `name`, described by `about` and with its flag, and those
/// of all choices, each with its name. Of settings with the same name only the first is returned, since a
/// command line has one flag of a name; where they are under different headings of the help, it moves to the
/// heading of the choice and names its owners.
pub(crate) fn united(
    (flag, value_name): (&'static str, &'static str),
    about: &'static str,
    default: &'static str,
    choices: &[(&'static str, Vec<Setting>)],
) -> Vec<Setting> {
    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
    let form = one_of(&names).flag(Heading::Model, value_name).named(flag).default(default);
    let mut known = BTreeSet::new();
    let own =
        choices.iter().flat_map(|(_, settings)| settings).filter(|setting| known.insert(setting.name()));
    let own = own.map(|setting| {
        let same = |other: &&Setting| other.name() == setting.name();
        let owners = choices.iter().filter_map(|(name, settings)| Some((*name, settings.iter().find(same)?)));
        let owners: Vec<_> = owners.collect();
        if owners.iter().all(|(_, other)| other.heading() == setting.heading()) {
            return setting.clone();
        }
        let owners: Vec<_> = owners.iter().map(|(name, _)| *name).collect();
        setting.clone().of_several(&owners, Heading::Model)
    });
    [Setting::new("name", about, "", form)].into_iter().chain(own).collect()
}
