//! Checks of the keys in a file of settings.

use anyhow::Result;
use toml::{Table, Value};

use super::{layers::is_of_a_store, whole::Config};
use crate::usage;

/// Refuses the first value that stands for a section, and the first key that is not a setting. The message names
/// its line and the right form or the nearest setting.
pub(super) fn check(shown: &str, text: &str, table: &Table) -> Result<()> {
    let mut known: Vec<_> = Config::settings().into_iter().map(|setting| setting.key).collect();
    known.sort_unstable();
    check_sections(shown, text, table, &known)?;
    let mut found = Vec::new();
    names(table, "", &mut found);
    let is_known = |name: &String| {
        is_of_a_store(name)
            || known.contains(name)
            || known.iter().any(|key| key.starts_with(&format!("{name}.")))
    };
    // `words::check` refuses this setting of earlier versions and names its successor.
    let unknown = found.into_iter().find(|name| !is_known(name) && name != "data.shuffle_window");
    let Some(name) = unknown else { return Ok(()) };
    let nearest = known.iter().min_by_key(|key| distance(key, &name));
    let nearest = nearest.filter(|key| 2 * distance(key, &name) <= last(&name).chars().count());
    let hint = nearest.map_or_else(
        || "look it up in the config.toml of a run, which has every setting and its type".to_owned(),
        |key| format!("check its name: the nearest setting is `{key}`"),
    );
    let line = line_of(text, &name).map_or_else(String::new, |line| format!(", line {line}"));
    Err(usage!("`{shown}`{line}: there is no setting `{name}`"; "{hint}"))
}

/// Refuses a value where a section is meant, such as `method = "simclr"`: flags of the section would replace
/// it.
fn check_sections(shown: &str, text: &str, table: &Table, known: &[String]) -> Result<()> {
    let is_section = |key: &String| known.iter().any(|name| name.starts_with(&format!("{key}.")));
    let Some((section, value)) = table.iter().find(|(key, value)| !value.is_table() && is_section(key))
    else {
        return Ok(());
    };
    let hint = match &section[..] {
        "method" | "encoder" => format!("write {section}.name = {value}"),
        _ => format!("write its settings under [{section}]"),
    };
    let line = line_of(text, section).map_or_else(String::new, |line| format!(", line {line}"));
    Err(usage!("`{shown}`{line}: `{section}` is not a section"; "{hint}"))
}

/// Collects the dotted keys of a table and of the tables in it.
fn names(table: &Table, prefix: &str, into: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => names(inner, &format!("{prefix}{key}."), into),
            _ => into.push(format!("{prefix}{key}")),
        }
    }
}

/// Returns the last part of a dotted key.
fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Returns the edit distance of the last parts of two keys, plus one if their sections differ.
fn distance(known: &str, typed: &str) -> usize {
    let is_elsewhere = known.rsplit_once('.').map(|(section, _)| section)
        != typed.rsplit_once('.').map(|(section, _)| section);
    strsim::osa_distance(last(known), last(typed)) + usize::from(is_elsewhere)
}

/// Returns the line, counted from 1, that contains a dotted key or the header of its section.
fn line_of(text: &str, name: &str) -> Option<usize> {
    let mut section = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            section = format!("{}.", header.trim());
        }
        let is_here = line.split_once('=').is_some_and(|(key, _)| format!("{section}{}", key.trim()) == name);
        if is_here || section.trim_end_matches('.') == name {
            return Some(number + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use pipeline::Preset;

    use super::*;
    use crate::hint;

    fn refusal(text: &str) -> String {
        hint::render(&check("c.toml", text, &text.parse().unwrap()).unwrap_err())
    }

    #[test]
    fn a_name_in_place_of_a_section_is_refused_with_the_right_form() {
        let error = refusal("preset = 'c10'\nmethod = 'simclr'");
        assert!(
            error.contains("line 2: `method` is not a section") && error.contains("method.name = \"simclr\""),
            "{error}"
        );
        assert!(refusal("encoder = 'resnet34'").contains("write encoder.name = \"resnet34\""));
        assert!(refusal("train = 3").contains("write its settings under [train]"));
        let right: Table = "method.name = 'simclr'\n[train]".parse().unwrap();
        check("c.toml", "", &right).unwrap();
    }

    #[test]
    fn a_mistyped_setting_is_refused_with_its_line_and_the_nearest_setting() {
        for (text, line, name, nearest) in [
            ("preset = 'c10'\n\n[encoder]\nn_rkhz = 5", 4, "encoder.n_rkhz", "`encoder.n_rkhs`"),
            ("[train]\nbatchsize = 5", 2, "train.batchsize", "`train.batch_size`"),
            ("optim.learning = 5", 1, "optim.learning", "config.toml of a run"),
            ("lr = 5", 1, "lr", "`optim.lr`"),
            ("[optimizer]\nlr = 5", 2, "optimizer.lr", "`optim.lr`"),
            ("[run]\n  worker=5", 2, "run.worker", "`run.workers`"),
        ] {
            let said = refusal(text);
            let expected = format!("`c.toml`, line {line}: there is no setting `{name}`");
            assert!(said.starts_with(&expected) && said.contains(nearest), "{said}");
        }
    }

    #[test]
    fn every_setting_of_a_run_is_known() {
        let mut config = Config::preset(Preset::C10);
        config.train.lengthened.push(crate::optim::Lengthened { at: 1, from: 2 });
        (config.train.batch_size, config.train.steps, config.run.workers) = (Some(2), Some(3), Some(4));
        (config.optim.clip_norm, config.optim.warmup_steps, config.run.threads) =
            (Some(1.0), Some(3), Some(1));
        let text = toml::to_string(&config).unwrap();
        check("c.toml", &text, &text.parse().unwrap()).unwrap();
    }
}
