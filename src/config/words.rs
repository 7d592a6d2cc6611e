//! Refusals of settings: those of earlier versions, texts that are not values, and the wording of errors of
//! the TOML parser.

use anyhow::Result;
use toml::Table;

use super::{layers::flattened, recipe::RecipeConfig, whole::Config};
use crate::{
    exit::Code,
    hint::{self, Hinted},
    settings::Refusal,
    usage,
};

/// The hint for a setting of the wrong type.
const LOOK_UP: &str = "look up the setting and its type in the config.toml of a run";

/// Refuses settings of earlier versions, and texts that the type of a setting refuses. The TOML parser would
/// keep only the message of such an error and lose its hint, so that texts are parsed before.
pub(super) fn check(table: &Table) -> Result<()> {
    if let Some(window) = table.get("data").and_then(|data| data.get("shuffle_window")) {
        return Err(usage!(
            "`data.shuffle_window` = {window} is a setting of an earlier version";
            "write `shuffle = \"window:{window}\"` instead, which means the same"
        ));
    }
    RecipeConfig::of(table)?;
    let settings = Config::settings();
    for (key, value) in flattened(table, "") {
        let setting = settings.iter().find(|setting| setting.key == key);
        if let Some(error) = setting.and_then(|setting| setting.refusal(&value)) {
            return Err(refused_text(&key, error));
        }
    }
    Ok(())
}

/// Refuses settings of other methods and encoders than the chosen ones, which `config` has.
pub(super) fn check_owners(asked: &Table, config: &Config) -> Result<()> {
    let own = config.own_settings();
    let is_own = |key: &str| own.iter().any(|setting| setting.key == key);
    let known = Config::settings();
    for (key, _) in flattened(asked, "") {
        let Some(setting) = known.iter().find(|setting| setting.key == key) else { continue };
        if is_own(&key) || setting.name() == "name" {
            continue;
        }
        let (section, chosen) = match key.split_once('.') {
            Some(("method", _)) => ("method", config.method.chosen().name()),
            _ => ("encoder", config.encoder.chosen().name()),
        };
        let prefix = format!("{section}.");
        let of_chosen: Vec<_> = own
            .iter()
            .filter_map(|own| own.key.strip_prefix(&prefix))
            .filter(|name| *name != "name")
            .collect();
        let flag = if setting.has_flag() { format!("--{}", setting.flag()) } else { format!("`{key}`") };
        return Err(usage!(
            "{flag} is not a setting of the {section} {chosen}";
            "leave it out, or choose another --{section}; the settings of {chosen} are {}", of_chosen.join(", ")
        ));
    }
    Ok(())
}

/// Returns the error about a text that is not a value of the setting `key`, with the hint of the library that
/// refuses it.
fn refused_text(key: &str, error: Refusal) -> anyhow::Error {
    let hint = hint::library_hint(&*error).unwrap_or_else(|| LOOK_UP.to_owned());
    let message = format!("in the settings: `{key}`: {error}");
    Hinted::error(Code::Usage, message, vec![hint])
}

/// Returns the error about a setting of the wrong type or name. The TOML parser names its place on a second
/// line.
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
    usage!("in the settings: {cause}"; "{LOOK_UP}")
}
