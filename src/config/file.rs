//! The file of `--config`.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::{keys, whole::Config};
use crate::{exit::Code, hint::WithHint, usage};

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
    check_sections(&shown.to_string(), &table)?;
    Ok(table)
}

/// Refuses a value where a section is meant, such as `method = "simclr"`: flags of the section would replace
/// it.
fn check_sections(file: &str, table: &Table) -> Result<()> {
    let settings = Config::settings();
    let sections = settings.iter().filter_map(|setting| setting.key.split_once('.'));
    for (section, _) in sections {
        let hint = match (table.get(section), section) {
            (None | Some(Value::Table(_)), _) => continue,
            (Some(value), "method" | "encoder") => format!("write {section}.name = {value}"),
            _ => format!("write its settings under [{section}]"),
        };
        return Err(usage!("`{section}` in `{file}` is not a section"; "{hint}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint;

    #[test]
    fn a_name_in_place_of_a_section_is_refused_with_the_right_form() {
        let refusal = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), text).unwrap();
            hint::render(&read(file.path()).unwrap_err())
        };
        let error = refusal("preset = 'c10'\nmethod = 'simclr'");
        assert!(error.contains("`method` in") && error.contains("write method.name = \"simclr\""), "{error}");
        assert!(refusal("encoder = 'resnet34'").contains("write encoder.name = \"resnet34\""));
        assert!(refusal("train = 3").contains("write its settings under [train]"));
    }
}
