//! Summaries, records and validations.

use std::fs;

use crate::support::{Place, json, lines, run, succeed};

#[test]
fn a_summary_is_written_for_a_failed_run() {
    let place = Place::new();
    let summary = place.path("summary.json");
    let mut train = place.train("nowhere-<000..002>.tar", "run", &["--quiet", "--summary"]);
    assert_eq!(run(train.arg(&summary)).code, Some(1));
    let found = json(&summary);
    assert_eq!((&found["ended"], &found["exit_code"]), (&"failed".into(), &1.into()));
    assert!(found["error"].as_str().unwrap().contains("nowhere-000.tar"), "{found}");
    assert!(!found["hints"].as_array().unwrap().is_empty(), "{found}");
}

#[test]
fn every_record_names_the_bottleneck() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    succeed(&mut place.train(&pattern, "run", &["--steps", "3"]));
    for line in lines(&place.path("run/metrics.jsonl")) {
        assert!(["data", "copy", "compute"].contains(&line["bound"].as_str().unwrap()), "{line}");
        assert!((0.0..=1.0).contains(&line["bound_share"].as_f64().unwrap()), "{line}");
    }
}

#[test]
fn an_unfinished_validation_is_repeated_by_the_next_start() {
    let place = Place::new();
    let (train, val) = (place.shards("train", 1, 32), place.shards("val", 1, 20));
    let length = ["--steps", "3", "--checkpoint-every", "1", "--val-shards", &val, "--best", "linear"];
    succeed(&mut place.train(&train, "run", &length));
    let best = json(&place.path("run/checkpoints/best.json"));
    let whole = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let validated = |text: &str| text.lines().filter(|line| line.contains("\"validation\"")).count();
    assert_eq!(validated(&whole), 2, "after step 2, and at the end");
    // The state after a kill during the first validation.
    let cut: Vec<_> = whole.lines().take_while(|line| !line.contains("\"validation\"")).collect();
    fs::write(place.path("run/metrics.jsonl"), cut.join("\n") + "\n").unwrap();
    fs::remove_dir_all(place.path("run/checkpoints/step-00000003")).unwrap();
    fs::remove_file(place.path("run/checkpoints/best.json")).unwrap();
    fs::remove_file(place.path("run/checkpoints/best")).unwrap();
    succeed(&mut place.train(&train, "run", &length));
    assert_eq!(validated(&fs::read_to_string(place.path("run/metrics.jsonl")).unwrap()), 2);
    assert_eq!(json(&place.path("run/checkpoints/best.json")), best);
    // The state after a kill between writing that file and the link.
    fs::remove_file(place.path("run/checkpoints/best")).unwrap();
    succeed(&mut place.train(&train, "run", &length));
    let state = json(&place.path("run/checkpoints/best/state.json"));
    assert_eq!(state["content"]["state"]["step"], best["step"]);
}
