//! Resolves the given settings to a complete configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pipeline::Preset;
use toml::{Table, Value};

use super::{
    layers::{completed, contradictions, of_this_machine, overlay, without_auto, without_former_groups},
    recipe::RecipeConfig,
    whole::Config,
    words,
};
use crate::{encoder::EncoderConfig, files, hint::WithHint, method::MethodConfig, usage};

impl Config {
    /// Returns the run folder in `asked`, or the default one of method and preset.
    pub fn out(asked: &Table) -> Result<PathBuf> {
        match asked.get("out") {
            Some(Value::String(out)) if !out.is_empty() => Ok(PathBuf::from(out)),
            Some(other) => Err(usage!("`out` = {other} is not a folder"; "write a path, such as runs/mine")),
            None => Ok(defaults(asked)?.out),
        }
    }

    /// Resolves `asked`, the flags over the file, over the defaults of its preset.
    ///
    /// # Errors
    ///
    /// If a setting is unknown, has the wrong type, is out of bounds, or contradicts another.
    pub fn resolve(asked: &Table) -> Result<Self> {
        words::check(asked)?;
        let defaults = defaults(asked)?;
        words::check_owners(asked, &defaults)?;
        let defaults = Table::try_from(defaults).context("cannot write the defaults as TOML")?;
        Self::over(defaults, asked)
    }

    /// Resolves `asked` for drawing views, which need not be views that the method and its encoder can use.
    ///
    /// # Errors
    ///
    /// If a setting is unknown, has the wrong type or is out of bounds, or if the recipe cannot work.
    pub fn resolve_for_drawing(asked: &Table) -> Result<Self> {
        words::check(asked)?;
        let defaults = Table::try_from(defaults(asked)?).context("cannot write the defaults as TOML")?;
        let config = Self::read_over(defaults, asked)?;
        config.check_for_drawing()?;
        Ok(config)
    }

    /// Resolves `asked` over `saved`, the configuration of the run that is resumed.
    ///
    /// # Errors
    ///
    /// If `asked` contradicts a setting that a resumed run may not change, or has an invalid setting.
    pub fn resume(saved: &Table, asked: &Table) -> Result<Self> {
        words::check(asked)?;
        let saved = &completed(saved);
        let mut asked = without_former_groups(saved, without_auto(asked));
        let is_other_recipe = is_other_recipe(saved, &mut asked)?;
        let mut differing = contradictions(saved, &asked);
        if is_other_recipe {
            differing.push("another `recipe`".to_owned());
        }
        if !differing.is_empty() {
            let out = saved.get("out").and_then(Value::as_str).unwrap_or("this folder");
            return Err(usage!(
                "the run in `{out}` was started with other settings: {}", differing.join(", ");
                "name another folder with --out, or leave these settings as they were to resume the run"
            ));
        }
        Self::over(saved.clone(), &asked)
    }

    /// Puts `asked` over `table`, reads the result and checks it.
    fn over(table: Table, asked: &Table) -> Result<Self> {
        let config = Self::read_over(table, asked)?;
        config.check()?;
        Ok(config)
    }

    fn read_over(mut table: Table, asked: &Table) -> Result<Self> {
        overlay(&mut table, asked);
        table.try_into().map_err(|error| words::refused(&error))
    }

    /// Returns the configuration of another process of the same run for this one, with the shards, the device and the
    /// threads that this one was `asked` for.
    ///
    /// # Errors
    ///
    /// If one of the settings is wrong.
    pub(crate) fn on_this_machine(&self, asked: &Table) -> Result<Self> {
        let settings = Table::try_from(self).context("cannot write the configuration as TOML")?;
        Self::over(settings, &of_this_machine(asked))
    }

    /// Writes the configuration as a file that `--config` reads.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).context("cannot write the configuration as TOML")?;
        files::replace(path, text.as_bytes()).or_cannot_write(path)
    }
}

/// Takes the recipe out of the given settings. Returns whether it is another one than the saved one: a given
/// recipe stands for all of its lists.
fn is_other_recipe(saved: &Table, asked: &mut Table) -> Result<bool> {
    if !asked.contains_key("recipe") {
        return Ok(false);
    }
    // As a run saves it, with the defaults of all parameters.
    let given = Table::try_from(RecipeConfig::of(asked)?).context("cannot write the recipe as TOML")?;
    asked.remove("recipe");
    Ok(saved.get("recipe").and_then(Value::as_table) != Some(&given))
}

/// Returns the defaults of the preset, the method and the encoder in `asked`.
fn defaults(asked: &Table) -> Result<Config> {
    let method = name(asked, "method").unwrap_or(MethodConfig::UNNAMED);
    let preset = preset(asked, &MethodConfig::named(method, Preset::default())?)?;
    let mut config = Config::of(MethodConfig::named(method, preset)?, preset);
    if let Some(name) = name(asked, "encoder") {
        config.encoder = config.method.chosen().adapt(EncoderConfig::named(name)?);
    }
    Ok(config)
}

/// Returns the `name` in a section of `asked`.
fn name<'a>(asked: &'a Table, section: &str) -> Option<&'a str> {
    asked.get(section)?.get("name")?.as_str()
}

/// Returns the preset in `asked`, or the default one of the method.
fn preset(asked: &Table, method: &MethodConfig) -> Result<Preset> {
    match asked.get("preset") {
        Some(preset) => preset.clone().try_into().map_err(|error: toml::de::Error| {
            usage!("`preset` = {preset}: {}", error.message(); "write c10, stl10, in128 or in224")
        }),
        None => Ok(method.chosen().preset()),
    }
}
