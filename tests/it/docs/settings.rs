//! `docs/reference/settings.md` is made from the command line and the settings themselves.

use std::{collections::BTreeMap, env, fmt::Write as _, fs};

use amdim_stream::{cli::Cli, config::Config, settings::Setting};
use clap::{Arg, Command, CommandFactory};
use pipeline::Preset;
use toml::{Table, Value};

use super::{read, root};

const PAGE: &str = "docs/reference/settings.md";
/// Set, it lets the test write the page instead of comparing with it.
const WRITE: &str = "AMDIM_STREAM_WRITE_DOCS";

const TITLE: &str = "\
# Settings

<!-- This page is made by a test: AMDIM_STREAM_WRITE_DOCS=1 cargo test --test it docs::settings -->

A run takes its settings from flags, from the file of `--config`, and from its preset, in this order. The file is TOML: the key
`train.batch_size` is `batch_size` in the section `[train]`. The `config.toml` of any run is such a file. A resumed run keeps the
settings that it began with; flags that contradict them are refused.

`--json`, with every command, prints results as JSON on a terminal, too. Elsewhere they always are.

## Settings of a run

";

const WITHOUT_A_FLAG: &str = "\
### Keys without a flag

| key in `config.toml` | default | meaning |
|---|---|---|
";

/// The dotted paths of a table's values.
fn keys(table: &Table, prefix: &str, into: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) => keys(inner, &format!("{prefix}{key}."), into),
            _ => drop(into.insert(format!("{prefix}{key}"), value.clone())),
        }
    }
}

/// The setting that a flag of a run gives; none where it gives none.
fn key_of(flag: &str) -> Option<String> {
    let gives = |setting: &Setting| setting.arg().is_some_and(|arg| arg.get_long() == Some(flag));
    Config::settings().into_iter().find(gives).map(|setting| setting.key)
}

/// A help text on one line: paragraphs become sentences.
fn on_one_line(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(". ")
}

/// A text for a cell of a table.
fn cell(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(number, part)| {
        let part = part.replace('|', "\\|");
        if number % 2 == 1 { part } else { part.replace('<', "&lt;").replace('*', "\\*") }
    });
    parts.collect::<Vec<_>>().join("`")
}

/// What a flag is for, and its default.
fn words(arg: &Arg) -> (String, String) {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let (mut meaning, mut default) = match help.rsplit_once("[default: ") {
        Some((before, after)) => {
            (before.trim().to_owned(), after.trim_end().trim_end_matches(']').to_owned())
        }
        None => (help, String::new()),
    };
    let values = arg.get_default_values().iter().filter_map(|value| value.to_str());
    if arg.get_action().takes_values() {
        default.extend(values);
    }
    let choices = arg.get_possible_values();
    let choices = choices
        .iter()
        .filter(|choice| !choice.is_hide_set() && !["true", "false"].contains(&choice.get_name()));
    for (number, choice) in choices.filter(|_| !arg.is_hide_possible_values_set()).enumerate() {
        meaning += if number == 0 { ". Values: " } else { "; " };
        let _ = write!(meaning, "`{}`", choice.get_name());
        if let Some(help) = choice.get_help() {
            let _ = write!(meaning, " ({help})");
        }
    }
    (cell(&on_one_line(&meaning)), cell(&default))
}

/// How a flag, or an argument without one, is written.
fn written(arg: &Arg) -> String {
    let names = arg
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ");
    let name = match (arg.get_short(), arg.get_long()) {
        (_, None) => return format!("`{names}`"),
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) => format!("--{long}"),
    };
    let many = if arg.get_num_args().is_some_and(|count| count.max_values() > 1) { "…" } else { "" };
    let value = if arg.get_action().takes_values() { format!(" {names}{many}") } else { String::new() };
    format!("`{}`", format!("{name}{value}").replace('|', "\\|"))
}

/// Flags of a run, heading by heading, in the order of the help.
fn run_flags(command: &Command) -> (String, Vec<String>) {
    let mut headings: Vec<(&str, Vec<&Arg>)> = Vec::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_global_set()) {
        let heading = arg.get_help_heading().unwrap_or("File");
        match headings.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, args)) => args.push(arg),
            None => headings.push((heading, vec![arg])),
        }
    }
    let (mut text, mut found) = (String::new(), Vec::new());
    for (heading, args) in headings {
        let _ = write!(
            text,
            "### {heading}\n\n| flag | key in `config.toml` | default | meaning |\n|---|---|---|---|\n"
        );
        for arg in args {
            let (meaning, told) = words(arg);
            let key = arg.get_long().and_then(key_of);
            let default = if told.is_empty() { key.as_deref().map_or(told, default_of) } else { told };
            let shown = key.as_ref().map_or_else(String::new, |key| format!("`{key}`"));
            let _ = writeln!(text, "| {} | {shown} | {default} | {meaning} |", written(arg));
            found.extend(key);
        }
        text.push('\n');
    }
    (text, found)
}

/// The default of a setting by preset, or one for all.
fn default_of(key: &str) -> String {
    let of = |preset: Preset| {
        let mut found = BTreeMap::new();
        keys(&Table::try_from(Config::preset(preset)).unwrap(), "", &mut found);
        let value = found.get(key).filter(|value| value.as_array().is_none_or(|values| !values.is_empty()));
        value.map_or_else(String::new, |value| format!("`{value}`"))
    };
    let [c10, stl10, in128] = [Preset::C10, Preset::Stl10, Preset::In128].map(of);
    if c10 == in128 && stl10 == in128 { in128 } else { format!("c10 {c10}, stl10 {stl10}, in128 {in128}") }
}

/// The flags of a command and of those below it.
fn commands(command: &Command, name: &str, of_a_run: &Command, into: &mut String) {
    if command.has_subcommands() {
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            commands(below, &format!("{name} {}", below.get_name()), of_a_run, into);
        }
        return;
    }
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string);
    let about = on_one_line(&about.unwrap_or_default());
    let _ = write!(into, "### {name}\n\n{}.\n\n", about.trim_end_matches('.'));
    let is_of_a_run = |arg: &&Arg| of_a_run.get_arguments().any(|other| other.get_id() == arg.get_id());
    let takes_a_run = command.get_arguments().filter(is_of_a_run).count() > 20;
    let mut own = command.get_arguments().filter(|arg| !takes_a_run || !is_of_a_run(arg)).peekable();
    if own.peek().is_some() {
        into.push_str("| flag | default | meaning |\n|---|---|---|\n");
    }
    for arg in own.filter(|arg| !arg.is_hide_set()) {
        let (meaning, default) = words(arg);
        let _ = writeln!(into, "| {} | {default} | {meaning} |", written(arg));
    }
    into.push('\n');
    if takes_a_run {
        into.push_str("Besides, all flags of a run.\n\n");
    }
}

/// Settings that only a file gives, by their keys.
fn without_a_flag() -> Vec<Setting> {
    let mut settings: Vec<_> = Config::settings().into_iter().filter(|setting| !setting.has_flag()).collect();
    settings.sort_by(|one, other| one.key.cmp(&other.key));
    settings
}

/// The page as it has to be.
fn page() -> (String, Vec<String>) {
    let command = Cli::command();
    let (flags, found) = run_flags(&command);
    let mut page = format!("{TITLE}{flags}{WITHOUT_A_FLAG}");
    for Setting { key, about, .. } in without_a_flag() {
        let _ = writeln!(page, "| `{key}` | {} | {} |", default_of(&key), cell(about.trim_end_matches('.')));
    }
    page.push_str("\n## Flags of the other commands\n\n");
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        commands(below, below.get_name(), &command, &mut page);
    }
    (format!("{}\n", page.trim_end()), found)
}

#[test]
fn the_page_of_settings_is_that_of_the_program() {
    let (page, _) = page();
    if env::var_os(WRITE).is_some() {
        fs::write(root(PAGE), &page).unwrap();
    }
    let found = read(PAGE);
    let differing = found.lines().zip(page.lines()).find(|(found, made)| found != made);
    assert!(
        found == page,
        "{PAGE} is not of this program: {WRITE}=1 cargo test --test it docs::settings\n{differing:#?}"
    );
}

#[test]
fn every_setting_has_a_flag_or_is_listed_without_one() {
    let (_, flags) = page();
    let mut known = BTreeMap::new();
    for preset in [Preset::C10, Preset::Stl10, Preset::In128] {
        keys(&Table::try_from(Config::preset(preset)).unwrap(), "", &mut known);
    }
    for key in known.keys() {
        let is_listed = without_a_flag().iter().any(|setting| setting.key == *key);
        assert!(
            flags.contains(key) != is_listed,
            "`{key}` is of a section that Config::settings does not list"
        );
    }
    assert!(flags.len() > 30, "{flags:?}");
}
