//! Serialization of optional settings that are written in a file as on the command line.

use std::{fmt::Display, str::FromStr};

use serde::{Deserializer, Serializer};

use super::as_text;

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(crate) fn serialize<S: Serializer>(
    value: &Option<impl Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => as_text::serialize(value, serializer),
        None => serializer.serialize_none(),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    as_text::deserialize(deserializer).map(Some)
}
