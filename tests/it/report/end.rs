//! The report and the history that a run writes at its end.

use std::{fs, os::unix::fs::symlink, process::Command};

use amdim_stream::report::{self, Options, Subject};
use serde_json::Value;

use crate::support::{Place, lines, run, start_until, succeed};

/// Returns the top of a page.
fn head(page: &str) -> &str {
    &page[page.find("<header").unwrap()..page.find("<nav").unwrap()]
}

fn report(place: &Place) -> String {
    fs::read_to_string(place.path("run/report.html")).unwrap()
}

/// Starts a run of very many steps, and ends its process by a signal after `step` steps.
fn end_after(place: &Place, pattern: &str, step: u64, signal: &str) {
    let mut command = place.train(pattern, "run", &["--steps", "100000", "--checkpoint-every", "1"]);
    let mut child = start_until(&mut command, &place.path("run"), step);
    let kill = format!("kill -s {signal} {}", child.id()); // a built-in of every shell
    succeed(Command::new("sh").args(["-c", &kill]));
    child.wait().unwrap();
}

fn step(place: &Place) -> u64 {
    lines(&place.path("run/metrics.jsonl")).last().unwrap()["step"].as_u64().unwrap()
}

#[test]
fn each_end_of_a_run_is_noted_and_has_its_report() {
    let place = Place::new();
    let pattern = place.shards("train", 2, 16);
    end_after(&place, &pattern, 1, "TERM");
    assert!(report(&place).contains("<b>Interrupted</b>"), "{}", head(&report(&place)));
    let before = step(&place);
    end_after(&place, &pattern, before + 1, "KILL");
    let killed = step(&place);
    let run = Subject::without_samples(&place.path("run")).unwrap();
    let page = report::page(&[run], &Options::default()).unwrap();
    assert!(
        page.contains("<b>Killed</b>") && page.contains("<dt>Starts</dt><dd>2; killed once</dd>"),
        "{}",
        head(&page)
    );
    end_after(&place, &pattern, killed + 1, "TERM");
    let page = report(&place);
    assert!(
        page.contains("<b>Interrupted</b>") && page.contains("<dt>Starts</dt><dd>3; killed once</dd>"),
        "{}",
        head(&page)
    );
    let history: Vec<Value> = lines(&place.path("run/history.jsonl"));
    let kinds: Vec<_> =
        history.iter().map(|event| (event["kind"].as_str().unwrap(), event["outcome"].as_str())).collect();
    let (start, end) = (("start", None), ("end", Some("signal")));
    assert_eq!(kinds, [start, end, start, start, end]);
    assert!(history[2]["step"].as_u64() >= Some(before), "{history:?}");
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
    assert!(head(&page).contains("<b>Failed</b>") && head(&page).contains("bad"), "{}", head(&page));
    let reason = lines(&place.path("run/bad-samples.jsonl"))[0]["reason"].as_str().unwrap().to_owned();
    assert!(page.contains(&format!("<bdi>{}</bdi>", report::escape(&reason))), "{reason}");
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
