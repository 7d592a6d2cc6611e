//! The command `events`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use amdim_stream::metrics;
use serde_json::{Value, json};

use super::reader;
use crate::support::{Place, program, run, succeed};

fn events(arguments: &[&Path]) -> std::process::Command {
    let mut command = program();
    command.arg("events").args(arguments);
    command
}

fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Makes the folder of a run with records, the last of which is cut.
fn made_up(place: &Place, name: &str) -> PathBuf {
    let folder = place.path(name);
    fs::create_dir_all(&folder).unwrap();
    let lines = [
        json!({"format": 1, "kind": "train", "step": 2, "loss": 1.5, "1t5": 0.5, "bound": "data"}),
        json!({"format": 1, "kind": "validation", "step": 2, "linear": 0.25, "knn": 0.5}),
        json!({"format": 1, "kind": "train", "step": 4, "loss": 1.25}),
    ];
    let text = lines.map(|line| format!("{line}\n")).concat() + "{\"kind\": \"tr";
    fs::write(folder.join("metrics.jsonl"), text).unwrap();
    fs::write(folder.join("config.toml"), "seed = 7\n").unwrap();
    folder
}

#[test]
fn the_records_of_a_run_are_written_and_replaced_by_a_second_call() {
    let place = Place::new();
    let folder = made_up(&place, "run");
    let board = folder.join("tensorboard");
    for call in 0..2 {
        let said = succeed(&mut events(&[&folder]));
        let told: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!((&told["records"], &told["step"]), (&json!(3), &json!(4)));
        assert_eq!(names(&board), [PathBuf::from(told["file"].as_str().unwrap())], "call {call}");
    }
    let found = reader::read(&board);
    let records = metrics::read(&folder.join("metrics.jsonl")).unwrap();
    assert_eq!(reader::scalars(&found["scalars"]), reader::of_records(&folder, &records));
    assert_eq!(found["scalars"]["validation/linear"], json!([[2, 0.25]]));
    assert_eq!(found["texts"]["config"], json!([[1, "```toml\nseed = 7\n```\n"]]));
}

#[test]
fn several_runs_have_a_folder_each() {
    let place = Place::new();
    let (one, two, out) = (made_up(&place, "one"), made_up(&place, "two"), place.path("out"));
    succeed(&mut events(&[&one, &two, Path::new("--out"), &out]));
    for name in ["one", "two"] {
        assert_eq!(names(&out.join(name)).len(), 1);
        assert!(!place.path(name).join("tensorboard").exists());
    }
    let said = run(&mut events(&[&one, &one, Path::new("--out"), &out]));
    assert_eq!(said.code, Some(2), "{}", said.stderr);
}

#[test]
fn event_files_of_others_are_not_touched_and_folders_without_a_run_are_named() {
    let place = Place::new();
    let folder = made_up(&place, "run");
    let board = folder.join("tensorboard");
    fs::create_dir(&board).unwrap();
    let other = board.join("events.out.tfevents.1700000000.host.1.0");
    fs::write(&other, "theirs").unwrap();
    let said = run(&mut events(&[&folder]));
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("--tensorboard") && said.stderr.contains("--out"), "{}", said.stderr);
    assert_eq!(names(&board), [other]);
    let said = run(&mut events(&[&place.path("nothing")]));
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("no metrics.jsonl"), "{}", said.stderr);
}
