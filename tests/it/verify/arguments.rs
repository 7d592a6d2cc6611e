//! Arguments that are refused.

use std::fs;

use super::support::{entry, verify};
use crate::support::{Place, run, succeed};

#[test]
fn wrong_arguments_and_unwritable_files_end_with_a_cause_and_a_hint() {
    let place = Place::new();
    let pattern = place.shards("x", 1, 4);
    place.write("other.tar", (0..2).map(|number| entry(number, 0)));
    fs::create_dir(place.path("a")).unwrap();
    fs::copy(place.path("x-000.tar"), place.path("a/x-000.tar")).unwrap();
    let twin = place.path("a/x-000.tar");
    let path = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let refused = |patterns: &[&str], more: &[&str], parts: &[&str], code: i32| {
        let said = run(&mut verify(patterns, more));
        assert_eq!(said.code, Some(code), "{more:?}: {}", said.stderr);
        for part in parts.iter().chain(&["hint: "]) {
            assert!(said.stderr.contains(part), "{more:?}: no `{part}` in {}", said.stderr);
        }
        assert!(said.stdout.is_empty() && said.stderr.lines().count() == 2, "{}", said.stderr);
    };
    refused(&[&path("no-<000..003>.tar")], &[], &["no-000.tar"], 1);
    refused(&[&pattern], &["--fix", &path("")], &["holds the originals"], 2);
    refused(&[&pattern], &["--fix", &path("a")], &["a/x-000.tar` exists already", "--force"], 2);
    refused(&[&pattern], &["--fix", &path("other.tar")], &["is a file, not a folder"], 2);
    refused(&[&pattern, twin.to_str().unwrap()], &["--fix", &path("b")], &["same name"], 2);
    refused(&[&pattern], &["--report", &path("nowhere/r.jsonl")], &["nowhere/r.jsonl"], 2);
    refused(&[&pattern], &["--report", &path("x-000.tar")], &["is a shard"], 2);
    fs::write(place.path("notes.jsonl"), "{\"mine\": 1}\n").unwrap();
    refused(&[&pattern], &["--report", &path("notes.jsonl")], &["is not a report"], 2);
    succeed(&mut verify(&[&pattern], &["--force", "--fix", &path("a")]));
    assert_eq!(fs::read(place.path("x-000.tar")).unwrap(), fs::read(twin).unwrap());
}
