//! Limits of time, and flags that are refused before a run.

use super::support::nightly;
use crate::support::{Place, json, run, succeed, tensors};

#[test]
fn a_run_out_of_time_is_saved_and_resumed() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let summary = place.path("summary.json");
    // The time is enough for the start and some steps. The run reserves the time that it needs to end.
    let length = ["--steps", "100000", "--checkpoint-every", "100000", "--quiet"];
    let mut steps = 0;
    for _ in 0..2 {
        let mut train = place.train(&pattern, "run", &length);
        train.args(["--max-hours", "0.004", "--summary"]).arg(&summary);
        let said = run(&mut train);
        assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (Some(130), "", ""));
        let summary = json(&summary);
        assert_eq!((&summary["ended"], &summary["interrupted_by"]), (&"interrupted".into(), &"time".into()));
        let step = summary["step"].as_u64().unwrap();
        assert!(step > steps, "{step} after {steps}");
        tensors(&place.path("run"), step);
        steps = step;
    }
}

#[test]
fn gates_and_limits_that_cannot_be_applied_are_refused_before_the_run() {
    let place = Place::new();
    place.shards("train", 1, 20);
    let models = place.path("models").to_str().unwrap().to_owned();
    for (arguments, part) in [
        (vec!["--promote", &models, "--gate", "knn>0.5"], "--knn-every"),
        (vec!["--promote", &models, "--gate", "linear>0.5"], "--val-shards"),
        (
            vec![
                "--promote",
                &models,
                "--gate",
                "knn>0.5",
                "--val-shards",
                "train-000.tar",
                "--best",
                "linear",
                "--knn-every",
                "2",
            ],
            "--best knn",
        ),
        (vec!["--promote", &models, "--gate", "rankme>1"], "256 training samples"),
        (vec!["--promote", &models, "--gate", "accuracy>0.5"], "linear, mlp, knn"),
        (vec!["--gate", "loss<1"], "--promote"),
        (vec!["--stop-at", "25:00"], "06:30"),
        (vec!["--max-hours", "0"], "not a number from"),
        (vec!["--promote", "train-000.tar/x"], "--promote"),
        (vec!["--summary", "nowhere/s.json"], "an existing folder"),
    ] {
        let said = run(nightly(&place, &arguments).current_dir(place.path("")));
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(part), "{arguments:?}: {}", said.stderr);
        assert!(!place.path("run").exists());
    }
}

#[test]
fn a_time_to_stop_at_needs_a_known_time_zone_which_is_shown() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    let train = |zone: &str, limit: &[&str]| {
        let mut command = place.train(&pattern, "run", &[&["--steps", "1"], limit].concat());
        command.env("TZ", zone);
        command
    };
    for zone in ["Nowhere/City", "/nowhere", ":Nowhere"] {
        let said = run(&mut train(zone, &["--stop-at", "06:30"]));
        assert_eq!(said.code, Some(2), "{zone}: {}", said.stderr);
        assert!(
            said.stderr.contains(&format!("TZ={zone}")) && said.stderr.contains("hint: "),
            "{}",
            said.stderr
        );
        assert!(!place.path("run").exists());
    }
    // XST-9 is nine hours ahead of UTC. A limit in hours needs no zone.
    for (zone, limit, shown) in [
        ("XST-9", ["--stop-at", "06:30"], "06:30 +09:00"),
        ("", ["--stop-at", "6:30"], "06:30 +00:00 (UTC)"),
        ("Nowhere/City", ["--max-hours", "1000"], "+00:00 (UTC)"),
    ] {
        let said = succeed(&mut train(zone, &limit));
        let first = said.stderr.lines().next().unwrap();
        assert!(first.contains(", until 2") && first.ends_with(shown), "{first}");
    }
}
