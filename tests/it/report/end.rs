//! The report and the history that a run writes at its end.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use crate::support::{Place, lines, run, succeed};

fn report(place: &Place) -> String {
    fs::read_to_string(place.path("run/report.html")).unwrap()
}

#[test]
fn each_end_of_a_run_is_noted_and_has_its_report() {
    let place = Place::new();
    let pattern = place.shards("train", 2, 16);
    // The time is over before the second step.
    let said = run(&mut place.train(&pattern, "run", &["--steps", "400", "--max-hours", "0.0008"]));
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    assert!(
        report(&place).contains("<b>Interrupted</b>") && said.stderr.contains("report: `"),
        "{}",
        said.stderr
    );
    let step = lines(&place.path("run/metrics.jsonl")).last().unwrap()["step"].as_u64().unwrap();
    succeed(&mut place.train(&pattern, "run", &["--steps", &(step + 1).to_string()]));
    let page = report(&place);
    assert!(page.contains("<b>Finished</b>") && page.contains("<dt>Starts</dt><dd>2</dd>"));
    let history: Vec<Value> = lines(&place.path("run/history.jsonl"));
    let kinds: Vec<_> =
        history.iter().map(|event| (event["kind"].as_str().unwrap(), event["outcome"].as_str())).collect();
    assert_eq!(kinds, [("start", None), ("end", Some("time")), ("start", None), ("end", Some("finished"))]);
    assert_eq!(history[2]["step"], step);
    assert!(history[0]["command"].as_str().unwrap().starts_with("amdim-stream --preset c10"));
}

#[test]
fn a_failed_run_has_a_report_that_says_why() {
    let place = Place::new();
    let entry = |number: usize| crate::support::Entry {
        key: format!("{number:03}"),
        image: if number < 8 { crate::support::jpeg(number) } else { b"no image".to_vec() },
        label: None,
    };
    place.write("train-000.tar", (0..40).map(entry));
    let said = run(&mut place.train(&place.pattern("train", 1), "run", &["--steps", "50", "--max-bad", "3"]));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    let page = report(&place);
    assert!(page.contains("<b>Failed</b>") && page.contains("bad samples"), "{page}");
    assert!(page.contains("not an image") || page.contains("format"), "the reason of a bad sample");
}

#[test]
fn a_report_that_cannot_be_written_is_a_warning_and_changes_nothing() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 16);
    fs::create_dir_all(place.path("run/report.html.partial/x")).unwrap();
    fs::write(place.path("run/run.lock"), "").unwrap();
    symlink(place.path("nowhere/x"), place.path("run/history.jsonl")).unwrap();
    let said = succeed(&mut place.train(&pattern, "run", &["--steps", "1"]));
    assert!(said.stderr.contains("there is no report of the run"), "{}", said.stderr);
    assert!(said.stderr.contains("history.jsonl` cannot be written"), "{}", said.stderr);
    assert!(!place.path("run/report.html").exists() && place.path("run/checkpoints/step-00000001").exists());
}
