//! Sections whose setting `name` chooses which other settings they have.

use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error};
use toml::{Table, Value};

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

/// Reads the settings of a section without its name. An error says on its last line which setting it concerns.
pub(crate) fn read<T: DeserializeOwned, E: Error>(section: Table) -> Result<T, E> {
    section.try_into().map_err(|error: toml::de::Error| E::custom(error.to_string().trim_end()))
}
