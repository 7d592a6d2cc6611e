//! The settings of runs: differences first.

use std::collections::BTreeSet;

use super::{
    subject::Subject,
    text::{count, escape, isolated},
};
use crate::config::{self, Config};

/// The setting that says where a run is, which is no difference between runs.
const PLACE: &str = "out";
/// Settings that have no default.
const GIVEN: [&str; 3] = [PLACE, "data.shards", "data.val_shards"];

/// Returns the section about the settings.
pub(super) fn section(runs: &[Subject]) -> String {
    match runs {
        [run] => of_one(run),
        runs => of_several(runs),
    }
}

/// Returns the settings of a run that differ from the defaults of its method and preset, and below them all.
fn of_one(run: &Subject) -> String {
    if run.settings.is_empty() {
        return "<p>The run has no readable <code>config.toml</code>.</p>".to_owned();
    }
    let defaults = defaults(run);
    let default_of = |key: &str| {
        defaults.as_ref()?.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
    };
    let is_other = |(key, value): &&(String, String)| {
        !GIVEN.contains(&key.as_str()) && default_of(key).is_none_or(|default| !is_same(default, value))
    };
    let others: Vec<_> = run.settings.iter().filter(is_other).collect();
    let rows = others
        .iter()
        .map(|(key, value)| {
            let default = default_of(key).map_or("—".to_owned(), escape);
            format!(
                "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{default}</td></tr>",
                escape(key),
                isolated(value)
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let head =
        "<tr><th scope=\"col\">setting</th><th scope=\"col\">this run</th><th scope=\"col\">preset</th></tr>";
    let differing = if defaults.is_none() {
        "<p>Another version of the program wrote these settings, so they are not compared with their preset.</p>".to_owned()
    } else if others.is_empty() {
        "<p>All settings are those of the preset.</p>".to_owned()
    } else {
        let words = count(others.len() as u64, "setting differs", "settings differ");
        format!(
            "<p>{words} from the defaults of the method and its preset.</p>{}",
            table("Settings that differ from the preset", head, &rows)
        )
    };
    let all = run
        .settings
        .iter()
        .map(|(key, value)| {
            format!(
                "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td></tr>",
                escape(key),
                isolated(value)
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let head = "<tr><th scope=\"col\">setting</th><th scope=\"col\">value</th></tr>";
    format!(
        "{differing}<details><summary>All settings</summary>{}</details>",
        table("All settings", head, &all)
    )
}

/// Returns the settings in which runs differ, and below them those that they share.
fn of_several(runs: &[Subject]) -> String {
    let keys: BTreeSet<&str> =
        runs.iter().flat_map(|run| run.settings.iter().map(|(key, _)| key.as_str())).collect();
    let value = |run: &Subject, key: &str| {
        run.settings.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone())
    };
    let (mut differing, mut shared) = (String::new(), String::new());
    for key in keys.into_iter().filter(|key| *key != PLACE) {
        let values: Vec<_> = runs.iter().map(|run| value(run, key)).collect();
        let row = |values: &[Option<String>]| {
            let cell = |value: &Option<String>| {
                format!("<td>{}</td>", value.as_deref().map_or("—".to_owned(), isolated))
            };
            let cells = values.iter().map(cell).collect::<Vec<_>>().concat();
            format!("<tr><th scope=\"row\"><code>{}</code></th>{cells}</tr>", escape(key))
        };
        if values.iter().all(|other| *other == values[0]) {
            shared += &row(&values[..1]);
        } else {
            differing += &row(&values);
        }
    }
    let names = runs
        .iter()
        .map(|run| format!("<th scope=\"col\">{}</th>", isolated(&run.name)))
        .collect::<Vec<_>>()
        .concat();
    let head = format!("<tr><th scope=\"col\">setting</th>{names}</tr>");
    let differing = if differing.is_empty() {
        "<p>The runs have the same settings.</p>".to_owned()
    } else {
        table("Settings in which the runs differ", &head, &differing)
    };
    let head = "<tr><th scope=\"col\">setting</th><th scope=\"col\">all runs</th></tr>";
    format!(
        "{differing}<details><summary>Settings that the runs share</summary>{}</details>",
        table("Settings that the runs share", head, &shared)
    )
}

/// Returns a table in a frame that scrolls.
pub(super) fn table(label: &str, head: &str, rows: &str) -> String {
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>",
        escape(label)
    )
}

/// Returns the defaults of the run's method, preset and encoder; `None` if this version does not read its settings.
fn defaults(run: &Subject) -> Option<Vec<(String, String)>> {
    let config = run.config.as_ref()?;
    let text = format!(
        "preset = '{}'\nmethod.name = '{}'\nencoder.name = '{}'",
        config.preset,
        config.method.chosen().name(),
        config.encoder.chosen().name()
    );
    let defaults = Config::resolve(&text.parse().ok()?).ok()?;
    Some(config::flat(&toml::Table::try_from(defaults).ok()?))
}

/// Returns whether two values are the same, as `50` and `50.0` are.
fn is_same(one: &str, other: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok().map(f64::to_bits);
    one == other || number(one).is_some_and(|bits| number(other) == Some(bits))
}
