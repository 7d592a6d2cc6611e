//! Starts with `--if-changed`.

use std::fs;

use super::support::{add_shard, nightly, promote};
use crate::support::{Place, json, run, start_until, succeed, tensors};

#[test]
fn a_finished_run_is_left_alone_without_output_until_a_shard_changes() {
    let place = Place::new();
    place.shards("train", 2, 20);
    succeed(&mut nightly(&place, &["--warm-start", "last"]));
    let before = tensors(&place.path("run"), 2);
    let again = succeed(&mut nightly(&place, &["--warm-start", "last"]));
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("", ""));
    let told = run(&mut nightly(&place, &["--warm-start", "last", "--exit-code-unchanged"]));
    assert_eq!(told.code, Some(3), "{}", told.stderr);
    add_shard(&place, "train-002.tar");
    let anew = succeed(&mut nightly(&place, &["--warm-start", "last"]));
    for part in ["1 added, 0 removed, 0 altered", "previous", "begins with the encoder of", "60 samples"] {
        assert!(anew.stderr.contains(part), "no `{part}`: {}", anew.stderr);
    }
    assert!(before == tensors(&place.path("run/previous"), 2), "the previous run is kept");
    assert!(before != tensors(&place.path("run"), 2));
    // Another warm start applies to the next run and does not contradict the finished one.
    let again = succeed(&mut nightly(&place, &["--warm-start", "best"]));
    assert_eq!((again.stdout.as_str(), again.stderr.as_str()), ("", ""));
    // The same size and another time of modification count as altered.
    add_shard(&place, "train-001.tar");
    let anew = succeed(&mut nightly(&place, &["--warm-start", "best"]));
    assert!(anew.stderr.contains("0 added, 0 removed, 1 altered"), "{}", anew.stderr);
}

#[test]
fn a_run_without_checkpoints_does_not_count_as_finished() {
    let place = Place::new();
    place.shards("train", 1, 20);
    succeed(&mut nightly(&place, &[]));
    fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    add_shard(&place, "train-001.tar");
    succeed(&mut nightly(&place, &[]));
    tensors(&place.path("run"), 2);
    assert_eq!(json(&place.path("run/manifest.json"))["shards"].as_array().unwrap().len(), 2);
}

#[test]
fn a_finished_run_whose_last_checkpoint_is_damaged_is_finished_again() {
    let place = Place::new();
    place.shards("train", 1, 20);
    let night = || promote(&place, &["loss<0"]);
    assert_eq!(run(night().args(["--checkpoint-every", "1"])).code, Some(5));
    let before = tensors(&place.path("run"), 2);
    let model = place.path("run/checkpoints/step-00000002/model.safetensors");
    let mut bytes = fs::read(&model).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&model, bytes).unwrap();
    // The outcome of the finished run is not reported before the run is finished again.
    assert_eq!(run(night().args(["--max-hours", "1e-9"])).code, Some(130));
    assert_eq!(run(&mut night()).code, Some(5));
    assert!(before == tensors(&place.path("run"), 2));
    succeed(&mut night());
}

#[test]
fn a_start_without_time_left_keeps_the_finished_run() {
    let place = Place::new();
    place.shards("train", 1, 20);
    succeed(&mut nightly(&place, &[]));
    let before = tensors(&place.path("run"), 2);
    for shard in ["train-001.tar", "train-002.tar"] {
        add_shard(&place, shard);
        assert_eq!(run(&mut nightly(&place, &["--max-hours", "1e-9"])).code, Some(130));
    }
    assert!(!place.path("run/previous").exists() && before == tensors(&place.path("run"), 2));
}

#[test]
fn changed_settings_are_refused_if_no_shard_has_changed() {
    let place = Place::new();
    place.shards("train", 1, 20);
    succeed(&mut nightly(&place, &[]));
    let said = run(&mut nightly(&place, &["--lr", "0.5"]));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("`optim.lr` = 0.5"), "{}", said.stderr);
}

#[test]
fn the_first_run_begins_anew_if_there_is_no_previous_run() {
    let place = Place::new();
    place.shards("train", 1, 20);
    let said = succeed(&mut nightly(&place, &["--warm-start", "last"]));
    assert!(said.stderr.contains("training begins anew"), "{}", said.stderr);
}

#[test]
fn an_unfinished_run_is_resumed_and_set_aside_when_its_shards_change() {
    let place = Place::new();
    place.shards("train", 2, 20);
    let pattern = place.path("train-*.tar").to_str().unwrap().to_owned();
    let length = ["--steps", "100000", "--checkpoint-every", "1", "--if-changed", "--warm-start", "last"];
    let train = || place.train(&pattern, "run", &length);
    for _ in 0..2 {
        let mut child = start_until(&mut train(), &place.path("run"), 3);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!place.path("run/previous").exists());
    }
    // The run was killed, which is reported before it is set aside.
    fs::remove_file(place.path("train-001.tar")).unwrap();
    let said = run(train().args(["--max-hours", "0.001"]));
    assert_eq!(said.code, Some(130), "{}", said.stderr);
    assert!(
        said.stderr.contains("was killed or crashed: the last checkpoint is from step"),
        "{}",
        said.stderr
    );
    assert!(place.path("run/previous/checkpoints").exists());
}

#[test]
fn a_run_without_a_manifest_is_set_aside_when_its_shards_have_changed() {
    let place = Place::new();
    place.shards("train", 1, 20);
    succeed(&mut nightly(&place, &[]));
    fs::write(place.path("run/manifest.json"), "damaged").unwrap();
    succeed(&mut nightly(&place, &[]));
    assert!(!place.path("run/previous").exists());
    fs::remove_file(place.path("run/manifest.json")).unwrap();
    add_shard(&place, "train-001.tar");
    succeed(&mut nightly(&place, &[]));
    assert!(place.path("run/previous/checkpoints").exists());
}
