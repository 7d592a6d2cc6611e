//! Runs that end early go on as if they had not.

use std::{
    fs,
    process::{Child, Command},
    thread,
    time::Duration,
};

use crate::support::{Entry, Place, lines, run, start_until, succeed, tensors};

const STEPS: u64 = 24;
const LENGTH: [&str; 4] = ["--steps", "24", "--checkpoint-every", "3"];

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -s {name} {}", child.id()); // a built-in of every shell
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

#[test]
fn a_run_killed_five_times_ends_with_the_same_bits() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    succeed(&mut place.train(&pattern, "whole", &LENGTH));
    let killed = place.path("killed");
    for step in [1, 5, 6, 13, 20] {
        let mut child = start_until(&mut place.train(&pattern, "killed", &LENGTH), &killed, step);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    succeed(&mut place.train(&pattern, "killed", &LENGTH));
    assert!(tensors(&place.path("whole"), STEPS) == tensors(&killed, STEPS));
    let steps: Vec<_> =
        lines(&killed.join("metrics.jsonl")).iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=STEPS).collect::<Vec<_>>(), "every step is logged once");
}

#[test]
fn a_signal_saves_and_the_same_command_goes_on() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let length = ["--steps", "160", "--checkpoint-every", "1000"];
    let folder = place.path("run");
    let mut child = start_until(&mut place.train(&pattern, "run", &length), &folder, 2);
    signal(&child, "TERM");
    let code = child.wait().unwrap().code();
    let saved = fs::read_dir(folder.join("checkpoints")).unwrap().count();
    assert_eq!((code, saved), (Some(130), 1));
    succeed(&mut place.train(&pattern, "run", &length));
    succeed(&mut place.train(&pattern, "whole", &length));
    assert!(tensors(&place.path("whole"), 160) == tensors(&folder, 160));
}

#[test]
fn a_signal_is_heard_while_the_run_waits_for_data() {
    let place = Place::new();
    let samples = (0..20).map(|number| Entry { key: format!("{number}"), image: vec![1; 50], label: None });
    place.write("bad.tar", samples);
    let pattern = place.path("bad.tar").to_str().unwrap().to_owned();
    let mut child = place.train(&pattern, "run", &["--steps", "5", "--max-bad", "100%"]).spawn().unwrap();
    while !place.path("run/bad-samples.jsonl").exists() {
        assert!(child.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(5));
    }
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_second_run_in_the_same_folder_is_refused() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let length = ["--steps", "100000"];
    let mut first = start_until(&mut place.train(&pattern, "run", &length), &place.path("run"), 1);
    let said = run(&mut place.train(&pattern, "run", &length));
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(said.code, Some(4));
    assert!(said.stderr.contains(&format!("process {} on", first.id())), "{}", said.stderr);
    assert!(said.stderr.contains("is training in") && said.stderr.contains("--out"), "{}", said.stderr);
    assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
}

#[test]
fn a_finished_run_has_nothing_to_do() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    let first = succeed(&mut place.train(&pattern, "run", &["--steps", "2"]));
    let before = tensors(&place.path("run"), 2);
    let again = succeed(&mut place.train(&pattern, "run", &["--steps", "2"]));
    assert!(before == tensors(&place.path("run"), 2));
    assert_eq!(first.stdout, again.stdout);
}

#[test]
fn a_contradicting_command_line_is_refused_by_name() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    succeed(&mut place.train(&pattern, "run", &["--steps", "2"]));
    let said = run(&mut place.train(&pattern, "run", &["--steps", "3", "--lr", "0.5", "--workers", "1"]));
    assert_eq!(said.code, Some(2));
    for part in ["`train.steps` = 3 (was 2)", "`optim.lr` = 0.5 (was 0.0002)", "hint: ", "--out"] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
    assert!(!said.stderr.contains("workers`"), "{}", said.stderr);
}

#[test]
fn other_shards_are_refused_and_moved_ones_are_not() {
    let place = Place::new();
    let pattern = place.shards("train", 2, 20);
    succeed(&mut place.train(&pattern, "run", &["--steps", "2"]));
    fs::create_dir(place.path("moved")).unwrap();
    for shard in ["train-000.tar", "train-001.tar"] {
        fs::rename(place.path(shard), place.path("moved").join(shard)).unwrap();
    }
    let moved = place.pattern("moved/train", 2);
    succeed(&mut place.train(&moved, "run", &["--steps", "2"]));
    let fewer = place.pattern("moved/train", 1);
    let said = run(&mut place.train(&fewer, "run", &["--steps", "2"]));
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("40 samples then, 20 now"), "{}", said.stderr);
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    succeed(&mut place.train(&pattern, "run", &LENGTH));
    let whole = tensors(&place.path("run"), STEPS);
    let path = place.path("run").join(format!("checkpoints/step-{STEPS:08}/model.safetensors"));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let said = succeed(&mut place.train(&pattern, "run", &LENGTH));
    assert!(
        said.stderr.contains("does not match its checksum") && said.stderr.contains("step 21 of 24"),
        "{}",
        said.stderr
    );
    assert!(whole == tensors(&place.path("run"), STEPS));
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_the_run_and_leaves_the_one_before() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    succeed(&mut place.train(&pattern, "run", &["--steps", "2", "--checkpoint-every", "1"]));
    fs::remove_dir_all(place.path("run/checkpoints/step-00000002")).unwrap();
    let before = tensors(&place.path("run"), 1);
    // Files may grow to 16 blocks only; the signal that goes with it is ignored, so that writing fails as on a full disk.
    let train = place.train(&pattern, "run", &["--steps", "2", "--checkpoint-every", "1"]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"])
        .arg(train.get_program())
        .args(train.get_args());
    limited.env("AMDIM_STREAM_CACHE", place.path("cache"));
    let said = run(&mut limited);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(
        said.stderr.contains("cannot write the checkpoint") && said.stderr.contains("hint: "),
        "{}",
        said.stderr
    );
    let left: Vec<_> = fs::read_dir(place.path("run/checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["step-00000001"]);
    assert!(before == tensors(&place.path("run"), 1));
}
