//! The file of `--config`.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use toml::Table;

use super::keys;
use crate::{exit::Code, hint::WithHint};

/// Reads a file of settings and checks the names of its keys.
pub fn read(path: &Path) -> Result<Table> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read `{shown}`"))
        .with_hint(|| "name a file of settings with --config, such as the `config.toml` of a run")
        .with_code(Code::Usage)?;
    let table = text
        .parse()
        .with_context(|| format!("`{shown}` is not valid TOML"))
        .with_hint(|| "correct that line; the `config.toml` of a run is an example")
        .with_code(Code::Usage)?;
    keys::check(&shown.to_string(), &text, &table)?;
    Ok(table)
}
