//! Learning rates of runs of any length.

use std::fs;

use serde_json::Value;

use crate::support::{Place, Said, json, lines, program, run, succeed};

/// Returns the learning rate of every step.
fn rates(place: &Place, out: &str) -> Vec<f64> {
    let records = lines(&place.path(out).join("metrics.jsonl"));
    records.iter().filter_map(|record| record["lr"].as_f64()).collect()
}

/// Whether two sequences of rates are equal, apart from rounding.
fn are(found: &[f64], expected: &[f64]) -> bool {
    let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
    found.len() == expected.len() && found.iter().zip(expected).all(close)
}

#[test]
fn a_short_run_reaches_its_full_rate_and_its_first_line_describes_the_schedule() {
    let place = Place::new();
    let pattern = place.shards("x", 1, 16);
    // c10 drops after 5/6 and 14/15 of the steps; an epoch is one step.
    let Said { stderr, .. } = succeed(&mut place.train(&pattern, "short", &["--steps", "24"]));
    let words = "learning rate 0.0002 after a warm-up of 2 steps, × 0.2 after steps 20, 22 (epochs 20, 22)";
    assert!(stderr.lines().next().unwrap().contains(words), "{stderr}");
    let expected = [&[1e-4][..], &[2e-4; 19], &[4e-5; 2], &[8e-6; 2]].concat();
    assert!(are(&rates(&place, "short"), &expected), "{:?}", rates(&place, "short"));
    let kept = fs::read_to_string(place.path("short/config.toml")).unwrap();
    assert!(!kept.contains("warmup_steps") && kept.contains("schedule = \"published\""), "{kept}");
    // A resumed run keeps its warm-up; a new run with the same settings has one that follows from its own length.
    let state = json(&place.path("short/checkpoints/step-00000024/state.json"));
    assert_eq!(state["content"]["state"]["config"]["optim"]["warmup_steps"], 2, "{state}");
    let mut second = program();
    let file = place.path("short/config.toml");
    second
        .args(["--steps", "60", "--device", "cpu", "--config"])
        .arg(file)
        .arg("--out")
        .arg(place.path("second"));
    let said = succeed(second.env("AMDIM_STREAM_CACHE", place.path("cache")));
    assert!(said.stderr.contains("after a warm-up of 6 steps"), "{}", said.stderr);
}

#[test]
fn a_given_warm_up_and_schedule_are_used_and_kept() {
    let place = Place::new();
    let pattern = place.shards("x", 1, 16);
    let asked = ["--steps", "24", "--warmup-steps", "4", "--schedule", "reference"];
    let mut plan = program();
    plan.arg("plan").args(place.train(&pattern, "asked", &asked).get_args()).arg("--no-measure");
    let said = succeed(plan.env("AMDIM_STREAM_CACHE", place.path("cache")));
    let plan: Value = serde_json::from_str(&said.stdout).unwrap();
    let schedule = &plan["schedule"];
    assert_eq!((&schedule["warmup_steps"], &schedule["drops"]), (&4.into(), &serde_json::json!([21, 23])));
    assert!(said.stderr.contains("after a warm-up of 4 steps"), "{}", said.stderr);
    succeed(&mut place.train(&pattern, "asked", &asked));
    let expected = [&[5e-5, 1e-4, 1.5e-4][..], &[2e-4; 18], &[4e-5; 2], &[8e-6]].concat();
    assert!(are(&rates(&place, "asked"), &expected), "{:?}", rates(&place, "asked"));
    // A resumed run keeps the warm-up in its settings.
    let resumed = run(&mut place.train(&pattern, "asked", &["--steps", "24"]));
    assert!(resumed.code == Some(0) && resumed.stderr.contains("a warm-up of 4 steps"), "{}", resumed.stderr);
    let refused = run(&mut place.train(&pattern, "asked", &["--steps", "24", "--warmup-steps", "2"]));
    assert!(refused.code == Some(2) && refused.stderr.contains("`optim.warmup_steps` = 2 (was 4)"));
}

#[test]
fn a_run_shorter_than_its_warm_up_gets_a_warning() {
    let place = Place::new();
    let pattern = place.shards("x", 1, 16);
    let asked = ["--steps", "3", "--warmup-steps", "500"];
    let Said { stderr, .. } = succeed(&mut place.train(&pattern, "never", &asked));
    assert!(stderr.contains("the learning rate rises for 500 steps, but the run has 3"), "{stderr}");
    assert!(are(&rates(&place, "never"), &[4e-7, 8e-7, 1.2e-6]));
}
