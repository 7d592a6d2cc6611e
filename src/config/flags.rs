//! Settings on the command line.

use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};
use toml::{Table, Value};

use super::{file, layers::Layers, whole::Config};
use crate::settings::Setting;

/// Settings of a training run; what is not given comes from --config, else from the preset.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Settings from a file, e.g. the config.toml of another run; flags win over it
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// The settings themselves.
    #[command(flatten)]
    pub flags: Flags,
}

impl TrainArgs {
    /// Returns the settings that were given: the flags over the file.
    pub fn asked(&self) -> Result<Table> {
        Ok(self.layers()?.merged())
    }

    /// Returns the settings that were given, with flags and file apart.
    pub fn layers(&self) -> Result<Layers> {
        let file = match &self.config {
            Some(path) => file::read(path)?,
            None => Table::new(),
        };
        Ok(Layers { file, flags: self.flags.0.clone() })
    }
}

/// The flags that were given, as a table of the settings' keys.
#[derive(Debug, Clone, Default)]
pub struct Flags(Table);

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        in_order(Config::settings()).iter().filter_map(Setting::arg).fold(command, Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for setting in Config::settings() {
            if let Some(value) = setting.typed(matches) {
                set(&mut self.0, &setting.key, value);
            }
        }
        Ok(())
    }
}

/// Returns the settings that have a flag in the order of the help: by heading, then in the order of
/// declaration, except that a setting with [`Setting::after`] follows that setting.
fn in_order(settings: Vec<Setting>) -> Vec<Setting> {
    let (moved, mut ordered): (Vec<_>, Vec<_>) =
        settings.into_iter().filter(Setting::has_flag).partition(|setting| setting.after().is_some());
    ordered.sort_by_key(Setting::heading);
    for setting in moved {
        let before = ordered.iter().position(|other| Some(other.name()) == setting.after());
        ordered.insert(before.map_or(ordered.len(), |before| before + 1), setting);
    }
    ordered
}

/// Sets the value of a dotted key. Creates the sections of its path.
fn set(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            set(inner.as_table_mut().expect("sections hold tables"), rest, value);
        }
    }
}
