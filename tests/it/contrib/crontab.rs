//! The crontab and the settings of its run.

use std::fs;

use amdim_stream::config;

use super::support::{parse, read, root, words};
use crate::support::Place;

/// Returns the part of a command that cron gives to the shell: `\%` is a percent sign, and an unescaped %
/// ends the command.
fn as_cron_does(command: &str) -> String {
    let mut text = String::new();
    let mut characters = command.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&'%') => {
                text.extend(characters.next());
            }
            '%' => break,
            other => text.push(other),
        }
    }
    text
}

#[test]
fn the_lines_of_the_crontab_run_under_the_rules_of_cron() {
    assert_eq!(as_cron_does(r"date +\%F %input"), "date +%F ");
    let place = Place::new();
    let home = place.path("home");
    fs::create_dir(&home).unwrap();
    let text = read("contrib/crontab").replace("/srv/amdim", home.to_str().unwrap());
    let is_setting =
        |line: &str| line.split_once('=').is_some_and(|(name, _)| !name.contains(char::is_whitespace));
    let mut told = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#') && !is_setting(line)) {
        let fields: Vec<_> = line.splitn(6, char::is_whitespace).collect();
        let [times @ .., command] = fields.as_slice() else { panic!("{line}") };
        assert_eq!(times.len(), 5, "{line}");
        let is_time = |field: &&str| field.chars().all(|c| c.is_ascii_digit() || "*/,-".contains(c));
        assert!(times.iter().all(is_time), "{line}");
        let words = words(&place, &as_cron_does(command));
        parse(&words, line);
        told.push(words);
    }
    assert_eq!(told.len(), 2);
    assert!(home.join("logs/doctor.jsonl").exists());
    let after = |flag: &str| &told[0][told[0].iter().position(|word| word == flag).unwrap() + 1];
    assert_eq!(after("--gate"), "knn>=0.95*previous");
    let date = after("--summary").strip_prefix("logs/").unwrap().strip_suffix(".json").unwrap();
    assert!(date.len() == 10 && date.split('-').count() == 3, "{date}");
}

#[test]
fn the_settings_of_the_examples_are_valid() {
    config::Config::resolve(&config::read(&root("contrib/nightly.toml")).unwrap()).unwrap();
}
