//! Crash folders of runs that ended abnormally, and `replay`.

use std::fs;

use serde_json::Value;

use crate::support::{Place, json, program, run, start_until, succeed};

/// Replays the crash folder of the run. Returns the result.
fn replay(place: &Place, threads: &str) -> Value {
    let mut replay = program();
    replay.env("AMDIM_STREAM_CACHE", place.path("cache")).env("OMP_NUM_THREADS", threads);
    let said = succeed(replay.arg("replay").arg(place.path("run/crash")));
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn a_step_with_a_loss_that_is_not_finite_is_replayed_from_its_crash_folder() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    // Numbers are checked every five steps only. The steps after the broken one must not change the state that is saved.
    let settings = "preset = 'c10'\n[encoder]\nndf = 4\nn_rkhs = 16\nn_depth = 1\n[optim]\nlr = 1e30\n\
        [train]\nsteps = 40\nbatch_size = 16\n[run]\nlog_every = 5\ndevice = 'cpu'\n";
    fs::write(place.path("settings.toml"), settings).unwrap();
    let mut train = program();
    train.arg("--config").arg(place.path("settings.toml")).args(["--shards", &pattern]);
    train.arg("--out").arg(place.path("run")).env("AMDIM_STREAM_CACHE", place.path("cache"));
    let said = run(&mut train);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    for part in ["is not finite", "amdim-stream replay", "hint: "] {
        assert!(said.stderr.contains(part), "no `{part}`: {}", said.stderr);
    }
    let crash = json(&place.path("run/crash/crash.json"));
    let samples = crash["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 16);
    assert!(samples.iter().all(|sample| sample["key"].is_string() && sample["epoch"].is_u64()), "{crash}");
    assert!(place.path("run/crash/config.toml").exists());
    for threads in ["1", "3"] {
        let again = replay(&place, threads);
        assert_eq!(again["step"], crash["step"]);
        assert_eq!((&again["same_batch"], &again["is_finite"]), (&true.into(), &false.into()), "{again}");
        assert!(!again["gradients_not_finite"].as_array().unwrap().is_empty());
    }
}

#[test]
fn the_next_start_writes_a_crash_folder_for_the_step_in_which_a_process_was_killed() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let train = || place.train(&pattern, "run", &["--steps", "100000", "--checkpoint-every", "4"]);
    let mut child = start_until(&mut train(), &place.path("run"), 6);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut next = start_until(&mut train(), &place.path("run"), 9);
    next.kill().unwrap();
    next.wait().unwrap();
    let crash = json(&place.path("run/crash/crash.json"));
    assert!(crash["what"].as_str().unwrap().contains(&format!("process {}", child.id())), "{crash}");
    assert!(crash["step"].as_u64().unwrap() >= 6 && crash["samples"][15]["key"].is_string(), "{crash}");
    let again = replay(&place, "2");
    assert_eq!((&again["same_batch"], &again["is_finite"]), (&true.into(), &true.into()), "{again}");
}

#[test]
fn the_step_of_a_process_killed_before_its_first_checkpoint_is_reported_and_replayed() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let train = || place.train(&pattern, "run", &["--steps", "100000", "--checkpoint-every", "100000"]);
    let mut child = start_until(&mut train(), &place.path("run"), 3);
    child.kill().unwrap();
    child.wait().unwrap();
    // A start that is refused does not use up the report.
    assert_eq!(run(train().args(["--warm-start", "nowhere"])).code, Some(2));
    let said = run(train().args(["--max-hours", "0.003"]));
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    assert!(said.stderr.contains("there is no checkpoint yet"), "{}", said.stderr);
    let crash = json(&place.path("run/crash/crash.json"));
    assert!(crash["what"].as_str().unwrap().contains(&format!("process {}", child.id())), "{crash}");
    let again = replay(&place, "2");
    assert_eq!((&again["same_batch"], &again["step"]), (&true.into(), &crash["step"]), "{again}");
}

#[test]
fn a_process_killed_after_saving_its_step_leaves_no_crash_folder() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    let length = ["--steps", "2"];
    succeed(&mut place.train(&pattern, "run", &length));
    let lock = "{\"host\":\"h\",\"pid\":7,\"start\":\"2026-11-28T01:15:00Z\"}\n\
                {\"step\":2,\"from\":{\"epoch\":0,\"offset\":16}}\n";
    fs::write(place.path("run/run.lock"), lock).unwrap();
    let said = succeed(&mut place.train(&pattern, "run", &length));
    assert!(said.stderr.contains("process 7 on `h`"), "{}", said.stderr);
    assert!(!place.path("run/crash").exists());
}

#[test]
fn a_folder_without_a_crash_is_refused() {
    let place = Place::new();
    let said = run(program().arg("replay").arg(place.path("")));
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("crash.json") && said.stderr.contains("hint: "), "{}", said.stderr);
}
