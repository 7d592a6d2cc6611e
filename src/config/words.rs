//! Settings that are words, and TOML's words for settings that are wrong.

use anyhow::{Context, Result};
use pipeline::{BadSampleBudget, DecodeMode};
use shards::Shuffle;
use toml::{Table, Value};

use crate::{exit::Code, hint::WithHint, usage};

/// A section, a name in it, and what reads it.
type Words = (&'static str, &'static str, fn(&str) -> Result<()>);

/// Settings that a library reads, and refuses with a hint. TOML would hand on the words of such an error without its hint, so they
/// are read before.
const READ_BY_LIBRARIES: [Words; 3] = [
    ("data", "shuffle", |text| Ok(text.parse::<Shuffle>().map(drop)?)),
    ("data", "decode", |text| Ok(text.parse::<DecodeMode>().map(drop)?)),
    ("run", "max_bad", |text| Ok(text.parse::<BadSampleBudget>().map(drop)?)),
];

/// Refuses what an earlier version wrote under other names, and words that a library does not know.
pub(super) fn check(table: &Table) -> Result<()> {
    let setting = |section: &str, name: &str| table.get(section).and_then(|section| section.get(name));
    if let Some(window) = setting("data", "shuffle_window") {
        return Err(usage!(
            "`data.shuffle_window` = {window} is a setting of an earlier version";
            "write `shuffle = \"window:{window}\"` instead, which means the same"
        ));
    }
    for (section, name, read) in READ_BY_LIBRARIES {
        let text = setting(section, name).and_then(Value::as_str);
        let read = text.map_or(Ok(()), read);
        read.with_context(|| format!("in the settings: `{section}.{name}`")).with_code(Code::Usage)?;
    }
    Ok(())
}

/// A setting of the wrong type or name; TOML says on a second line where it is.
pub(super) fn refused(error: &toml::de::Error) -> anyhow::Error {
    // TOML calls the types as Rust does, and gives nothing but this text.
    let types = [
        ("u64", "a whole number from 0 on"),
        ("usize", "a whole number from 0 on"),
        ("i64", "a whole number"),
        ("f64", "a number"),
    ];
    let plain = |message: String, (from, to): (&str, &str)| {
        message.replace(&format!("expected {from},"), &format!("expected {to},"))
    };
    let message = error.to_string();
    let (places, causes): (Vec<_>, Vec<_>) =
        message.trim().lines().map(str::trim).partition(|line| line.starts_with("in `"));
    // The innermost place comes first: "in `ndf`", then "in `encoder`".
    let place: Vec<_> = places.iter().rev().map(|place| place[3..].trim_matches('`')).collect();
    let place = if place.is_empty() { String::new() } else { format!(", in `{}`", place.join(".")) };
    let cause = causes.join(", ") + &place;
    let cause = types.into_iter().fold(cause, plain);
    usage!("in the settings: {cause}"; "look up the setting and its type in the config.toml of a run")
}
