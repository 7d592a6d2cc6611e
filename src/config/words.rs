//! Settings that libraries parse, and the wording of errors of the TOML parser.

use anyhow::{Context, Result};
use pipeline::{BadSampleBudget, DecodeMode};
use shards::Shuffle;
use toml::{Table, Value};

use crate::{exit::Code, hint::WithHint, usage};

/// A setting that a library parses.
struct Parsed {
    section: &'static str,
    name: &'static str,
    parse: fn(&str) -> Result<()>,
}

/// The settings that a library parses and refuses with a hint. The TOML parser would keep the message of such an error and lose its
/// hint, so they are parsed before.
const PARSED: [Parsed; 3] = [
    Parsed { section: "data", name: "shuffle", parse: |text| Ok(text.parse::<Shuffle>().map(drop)?) },
    Parsed { section: "data", name: "decode", parse: |text| Ok(text.parse::<DecodeMode>().map(drop)?) },
    Parsed { section: "run", name: "max_bad", parse: |text| Ok(text.parse::<BadSampleBudget>().map(drop)?) },
];

/// Refuses settings of earlier versions, and values that a library refuses.
pub(super) fn check(table: &Table) -> Result<()> {
    let setting = |section: &str, name: &str| table.get(section).and_then(|section| section.get(name));
    if let Some(window) = setting("data", "shuffle_window") {
        return Err(usage!(
            "`data.shuffle_window` = {window} is a setting of an earlier version";
            "write `shuffle = \"window:{window}\"` instead, which means the same"
        ));
    }
    for Parsed { section, name, parse } in PARSED {
        if let Some(text) = setting(section, name).and_then(Value::as_str) {
            parse(text)
                .with_context(|| format!("in the settings: `{section}.{name}`"))
                .with_code(Code::Usage)?;
        }
    }
    Ok(())
}

/// Returns the error about a setting of the wrong type or name. The TOML parser names its place on a second line.
pub(super) fn refused(error: &toml::de::Error) -> anyhow::Error {
    // The TOML parser gives only text, in which types have their Rust names.
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
