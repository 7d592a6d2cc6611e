//! Processes that do not fit together are refused.

use std::{fs, process::Command};

use crate::{
    group::{Ended, Ranks},
    support::Place,
};

/// Panics unless all processes refused, and the lead alone said why, with `words`.
#[track_caller]
fn assert_refused(ended: &[Ended], words: &[&str]) {
    for ended in ended {
        assert_eq!(ended.code(), Some(2), "{ended:?}");
    }
    for word in words {
        assert!(ended[0].stderr.contains(word), "no `{word}`: {}", ended[0].stderr);
    }
    assert!(ended[0].stderr.contains("hint: "), "{}", ended[0].stderr);
    assert!(ended[1..].iter().all(|ended| ended.stderr.is_empty()), "{ended:?}");
}

#[test]
fn processes_with_other_settings_or_shards_are_named() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let other = place.shards("other", 3, 19);
    let train = |pattern: &str, more: &[&str]| place.train(pattern, "run", more);
    let two = |one: Command, two: Command| Ranks::start(vec![one, two]).wait();
    let ended = two(
        train(&pattern, &["--precision", "f32", "--steps", "3"]),
        train(&pattern, &["--precision", "f32", "--steps", "3", "--seed", "7"]),
    );
    assert_refused(&ended, &["rank 1 (process ", "seed = 7", "rank 0 has nothing"]);
    let ended = two(
        train(&pattern, &["--precision", "f32", "--steps", "3"]),
        train(&other, &["--precision", "f32", "--steps", "3"]),
    );
    assert_refused(&ended, &["rank 1 (process ", "57 samples", "60 samples"]);
    assert!(!place.path("run").exists(), "nothing is made before all agree");
}

#[test]
fn a_batch_that_cannot_be_divided_is_refused_with_the_nearest_ones() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let ended = Ranks::train(&place, 3, &pattern, "run", &["--precision", "f32", "--steps", "3"]);
    assert_refused(&ended, &["--batch-size to 15 or 18"]);
}

/// Another commit of the program is a copy of it with another commit in its text.
#[test]
fn a_process_of_another_version_is_named() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let own = std::path::Path::new(env!("CARGO_BIN_EXE_amdim-stream-main"));
    let mut program = fs::read(own).unwrap();
    let commit = built::COMMIT.as_bytes();
    let places: Vec<_> = program
        .windows(commit.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == commit)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "the program does not name its commit");
    for at in places {
        program[at] = if program[at] == b'0' { b'1' } else { b'0' };
    }
    let other = place.path("other");
    fs::write(&other, program).unwrap();
    fs::set_permissions(&other, fs::metadata(own).unwrap().permissions()).unwrap();
    let command = place.train(&pattern, "run", &["--precision", "f32", "--steps", "3"]);
    let mut changed = Command::new(&other);
    changed.args(command.get_args()).env("AMDIM_STREAM_CACHE", place.path("cache"));
    changed.env("OMP_WAIT_POLICY", "passive");
    let ended = Ranks::start(vec![command, changed]).wait();
    assert_refused(&ended, &["rank 1 (process ", "the version = "]);
}

#[test]
fn the_lead_is_the_only_one_that_needs_the_run_folder_and_reports_what_is_wrong_with_it() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let elsewhere =
        |more: &[&str]| vec![place.train(&pattern, "run", more), place.train(&pattern, "none", more)];
    let ended = Ranks::start(elsewhere(&["--precision", "f32", "--steps", "3"])).wait();
    crate::group::assert_codes(&ended, 0);
    assert!(place.path("run/checkpoints/step-00000003").exists() && !place.path("none").exists());
    let ended = Ranks::start(elsewhere(&["--precision", "f32", "--steps", "6", "--extend"])).wait();
    crate::group::assert_codes(&ended, 0);
    assert!(place.path("run/checkpoints/step-00000006").exists() && !place.path("none").exists());
    let ended = Ranks::start(elsewhere(&["--precision", "f32", "--steps", "6", "--lr", "0.5"])).wait();
    assert_refused(&ended, &["optim.lr"]);
}
