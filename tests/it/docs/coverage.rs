//! Lists in the documents are complete: commands, exit codes, dependencies, files and fields of a run, kinds
//! of findings.

use std::collections::BTreeSet;

use amdim_stream::{cli::Cli, exit::Code};
use clap::CommandFactory;
use serde_json::Value;

use super::pages::read;
use crate::support::{Place, lines, program, succeed};

#[test]
fn the_readme_is_short_and_begins_with_the_state_of_gpus() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 150, "{} lines", readme.lines().count());
    let at = readme.find("Nothing has run on a GPU yet").expect("the README says so until it is outdated");
    assert!(at < readme.find("\n## ").unwrap());
}

#[test]
fn the_readme_lists_every_command() {
    let readme = read("README.md");
    let table = readme.split("## Commands\n").nth(1).unwrap().split("\n## ").next().unwrap();
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        assert!(table.contains(&format!("`{}`", command.get_name())), "{}", command.get_name());
    }
}

#[test]
fn every_exit_code_is_documented() {
    let page = read("docs/reference/exit-codes.md");
    let codes =
        [Code::Done, Code::Failed, Code::Usage, Code::Unchanged, Code::Locked, Code::Gate, Code::Interrupted];
    for code in codes {
        let row = format!("| {} | `{}` |", code as i32, code.name());
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let dependencies = manifest["workspace"]["dependencies"].as_table().unwrap();
    let foreign = dependencies.iter().filter(|(_, source)| source.get("path").is_none());
    let page = read("docs/dependencies.md");
    let missing: Vec<_> =
        foreign.map(|(name, _)| name).filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/dependencies.md does not say what these are for: {missing:?}");
}

/// Returns the names in backticks in the first cells of a document's tables.
fn named(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn every_file_of_a_run_and_every_field_of_its_records_is_documented() {
    let place = Place::new();
    let (train, validation) = (place.shards("train", 1, 40), place.shards("val", 1, 20));
    let more = ["--steps", "4", "--val-shards", &validation];
    let best = ["--knn-every", "1", "--best", "knn"];
    succeed(&mut place.train(&train, "run", &[&more[..], &best].concat()));

    let fields = named(&read("docs/reference/metrics.md"));
    let records = lines(&place.path("run/metrics.jsonl"));
    assert!(records.iter().any(|record| record["kind"] == "train"), "{records:?}");
    assert!(records.iter().any(|record| record["knn"].is_number()), "{records:?}");
    for name in records.iter().filter_map(Value::as_object).flat_map(|record| record.keys()) {
        assert!(name == "kind" || fields.contains(name), "docs/reference/metrics.md does not have `{name}`");
    }

    let files = named(&read("docs/reference/run-folder.md"));
    let names =
        |folder: &str| std::fs::read_dir(place.path(folder)).unwrap().map(|entry| entry.unwrap().file_name());
    for name in names("run").filter(|name| name != "checkpoints") {
        assert!(
            files.contains(name.to_str().unwrap()),
            "docs/reference/run-folder.md does not have {name:?}"
        );
    }
    let states = names("run/checkpoints").filter(|name| name.to_str().unwrap().starts_with("step-"));
    let step = states.max().unwrap();
    for name in names(&format!("run/checkpoints/{}", step.to_str().unwrap())) {
        assert!(
            files.contains(name.to_str().unwrap()),
            "docs/reference/run-folder.md does not have {name:?}"
        );
    }
}

#[test]
fn every_kind_of_finding_is_documented() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 4);
    let said = succeed(program().args(["verify", "--shards", &pattern]));
    let totals: Value = serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap();
    let counts = ["samples", "kept", "labelled", "ignored", "shards", "tolerated_kinds"];
    let kinds = named(&read("docs/guide/data.md"));
    for kind in totals.as_object().unwrap().keys().filter(|name| !counts.contains(&name.as_str())) {
        assert!(kinds.contains(kind), "docs/guide/data.md does not have `{kind}`");
    }
}
