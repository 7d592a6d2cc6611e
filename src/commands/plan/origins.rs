//! The origin of each setting.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use pipeline::Preset;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    config::{Config, Layers},
    settings::Setting as Known,
};

/// The origin of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Origin {
    /// The default, which is the same in all presets.
    Default,
    /// The preset, whose default differs from other presets.
    Preset,
    /// The run that is resumed.
    Run,
    /// The file of `--config`.
    File,
    /// A flag.
    Flag,
    /// The start of the run, which chooses a value for the machine and the data.
    Machine,
}

/// A setting with its origin.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Setting {
    /// The dotted key, such as `train.batch_size`.
    pub(super) key: String,
    /// The value; null if it is unset.
    pub(super) value: Value,
    /// The origin of the value.
    pub(super) from: Origin,
}

/// Values of settings by dotted key.
pub(super) type Flat = BTreeMap<String, Value>;

/// Returns the values of a configuration by dotted key; unset ones are null.
pub(super) fn flat(config: &Config) -> Result<Flat> {
    let mut flat = flattened(config)?;
    for setting in config.own_settings().into_iter().filter(Known::has_flag) {
        flat.entry(setting.key).or_insert(Value::Null);
    }
    Ok(flat)
}

/// Returns every setting of a run with its origin. `resolved` are the given settings over the defaults,
/// `used` those that a run on this machine uses. If `is_resumed`, the defaults are the settings of the
/// resumed run.
pub(super) fn settings(
    resolved: &Flat,
    used: Flat,
    asked: &Layers,
    is_resumed: bool,
) -> Result<Vec<Setting>> {
    let (flags, file) = (flattened(&asked.flags)?, flattened(&asked.file)?);
    let preset_keys = preset_keys()?;
    let from = |key: &String, value: &Value| {
        // The number of epochs is resolved as late as the settings that depend on the machine, but comes from the preset.
        let is_of_preset = preset_keys.contains(key) || key == "train.epochs" && !value.is_null();
        let is_chosen = resolved.get(key) != Some(value) && key != "train.epochs";
        match () {
            () if is_chosen => Origin::Machine,
            () if flags.contains_key(key) => Origin::Flag,
            () if file.contains_key(key) && !value.is_null() => Origin::File,
            () if is_resumed => Origin::Run,
            () if is_of_preset => Origin::Preset,
            () => Origin::Default,
        }
    };
    Ok(used.into_iter().map(|(key, value)| Setting { from: from(&key, &value), key, value }).collect())
}

/// Returns the keys whose defaults differ between presets.
fn preset_keys() -> Result<Vec<String>> {
    let [first, others @ ..] = &Preset::ALL.map(Config::preset);
    let first = flat(first)?;
    let others = others.iter().map(flat).collect::<Result<Vec<_>>>()?;
    let differs = |key: &String, value: &Value| others.iter().any(|other| other.get(key) != Some(value));
    let keys = first.iter().filter(|(key, value)| *key != "preset" && differs(key, value));
    Ok(keys.map(|(key, _)| key.clone()).collect())
}

fn flattened(settings: &impl Serialize) -> Result<Flat> {
    fn add(flat: &mut Flat, prefix: &str, section: Map<String, Value>) {
        for (key, value) in section {
            let key = format!("{prefix}{key}");
            match value {
                Value::Object(inner) => add(flat, &format!("{key}."), inner),
                value => drop(flat.insert(key, value)),
            }
        }
    }
    let mut flat = Flat::new();
    let Value::Object(sections) = serde_json::to_value(settings).context("cannot write the settings")? else {
        return Ok(flat);
    };
    add(&mut flat, "", sections);
    Ok(flat)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_setting_has_the_origin_of_its_value() {
        let asked = Layers {
            file: "seed = 3\n[train]\nsteps = 7\nprecision = 'auto'\n[optim]\nlr = 0.1".parse().unwrap(),
            flags: "seed = 4\n[train]\nepochs = 2.0\n[run]\ndevice = 'auto'".parse().unwrap(),
        };
        let config = Config::resolve(&asked.merged()).unwrap();
        let resolved = flat(&config).unwrap();
        let mut used = resolved.clone();
        for (key, value) in
            [("train.batch_size", json!(64)), ("train.precision", json!("f32")), ("run.device", json!("cpu"))]
        {
            used.insert(key.to_owned(), value);
        }
        let settings = settings(&resolved, used, &asked, false).unwrap();
        let from = |key: &str| settings.iter().find(|setting| setting.key == key).unwrap().from;
        for (key, origin) in [
            ("seed", Origin::Flag),
            ("train.epochs", Origin::Flag),
            ("optim.lr", Origin::File),
            ("train.batch_size", Origin::Machine),
            ("train.precision", Origin::Machine),
            ("run.device", Origin::Machine),
            ("optim.drop_at", Origin::Preset),
            ("out", Origin::Preset),
            ("preset", Origin::Default),
            ("run.best", Origin::Default),
        ] {
            assert_eq!(from(key), origin, "{key}");
        }
        let steps = settings.iter().find(|setting| setting.key == "train.steps").unwrap();
        assert_eq!(
            (&steps.value, steps.from),
            (&Value::Null, Origin::Default),
            "the flag's epochs replace them"
        );
    }

    #[test]
    fn settings_that_are_not_given_come_from_the_resumed_run() {
        let asked = Layers { flags: "[run]\nkeep = 9".parse().unwrap(), ..Layers::default() };
        let resolved = flat(&Config::resolve(&asked.merged()).unwrap()).unwrap();
        let settings = settings(&resolved, resolved.clone(), &asked, true).unwrap();
        for Setting { key, from, .. } in settings {
            assert_eq!(from, if key == "run.keep" { Origin::Flag } else { Origin::Run }, "{key}");
        }
    }

    #[test]
    fn the_number_of_epochs_comes_from_the_preset() {
        let asked = Layers::default();
        let resolved = flat(&Config::resolve(&asked.merged()).unwrap()).unwrap();
        let mut used = resolved.clone();
        used.insert("train.epochs".to_owned(), json!(50.0));
        let settings = settings(&resolved, used, &asked, false).unwrap();
        let epochs = settings.iter().find(|setting| setting.key == "train.epochs").unwrap();
        assert_eq!(epochs.from, Origin::Preset);
    }
}
