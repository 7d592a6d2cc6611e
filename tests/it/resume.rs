//! Resumed runs.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command},
    thread,
    time::Duration,
};

use amdim_stream::method::MethodConfig;
use pipeline::Preset;
use serde_json::Value;
use tch::Tensor;

use crate::support::{Entry, Place, json, lines, program, run, start_until, succeed, tensors};

const STEPS: u64 = 24;
const LENGTH: [&str; 4] = ["--steps", "24", "--checkpoint-every", "3"];

/// Settings of a small run of each method but AMDIM, and tensors of its state that no gradient changes.
const METHODS: [(&str, &str, &[&str]); 6] = [
    ("simclr", "dim = 8\n[encoder]\nname = 'resnet18'\nwidth = 4", &[]),
    (
        "instdisc",
        "dim = 8\nloss = 'nce'\nnegatives = 5\nz_momentum = 0.9\n[encoder]\nname = 'resnet18'\nwidth = 4",
        &["memory", "z"],
    ),
    // The batches of 16 do not divide the queue.
    (
        "moco",
        "dim = 8\nqueue = 20\nbn_groups = 2\n[encoder]\nname = 'resnet18'\nwidth = 4",
        &["queue", "queue_ptr"],
    ),
    ("cpc", "[encoder]\nwidth = 4\nstages = [1, 1, 1]", &[]),
    // Fewer classes than the set has samples.
    ("exemplar", "surrogate_classes = 30\n[encoder]\nwidths = [4, 6, 8]", &["surrogate_classes"]),
    (
        "cmc",
        "dim = 8\nloss = 'nce'\nnegatives = 5\n[encoder]\nname = 'resnet18'\nwidth = 4\nsplit = 'ycbcr'",
        &["memory_l", "memory_ab", "z_l", "z_ab"],
    ),
];

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -s {name} {}", child.id()); // `kill` is a built-in of every shell
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

/// Returns the command of a run of 12 steps by a method.
fn train_by(place: &Place, pattern: &str, (method, settings): (&str, &str), out: &str) -> Command {
    let file = place.path(&format!("{method}.toml"));
    fs::write(&file, format!("preset = 'c10'\n[method]\nname = '{method}'\n{settings}\n")).unwrap();
    let mut command = program();
    command.arg("--config").arg(file).args(["--shards", pattern, "--batch-size", "16", "--device", "cpu"]);
    command.args(["--precision", "f32", "--threads", "1", "--log-every", "1"]);
    command.args(["--steps", "12", "--checkpoint-every", "2", "--out"]).arg(place.path(out));
    command.env("AMDIM_STREAM_CACHE", place.path("cache"));
    command
}

/// Kills a run of 12 steps when it has logged the fifth. If it ended before the kill, starts it anew.
fn kill_midway(folder: &Path, command: impl Fn() -> Command) {
    for _ in 0..10 {
        let mut child = start_until(&mut command(), folder, 5);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(status.signal() == Some(libc::SIGKILL) || status.success(), "{status}");
        if !folder.join("checkpoints/step-00000012").exists() {
            return;
        }
        fs::remove_dir_all(folder).unwrap();
    }
    panic!("{} ended ten times before it was killed", folder.display());
}

/// Returns the names of the tensors that the checkpoint of a run at step 12 has.
fn saved(run: &Path) -> Vec<String> {
    let model = run.join("checkpoints/step-00000012/model.safetensors");
    Tensor::read_safetensors(model).unwrap().into_iter().map(|(name, _)| name).collect()
}

/// Returns the step and the loss of each record of a run.
fn losses(run: &Path) -> Vec<[Value; 2]> {
    let records = lines(&run.join("metrics.jsonl")).into_iter();
    records.map(|record| ["step", "loss"].map(|key| record[key].clone())).collect()
}

#[test]
fn a_killed_run_of_any_method_ends_as_one_that_was_never_killed() {
    let place = Place::new();
    let pattern = place.shards("train", 2, 20);
    for (method, settings, states) in METHODS {
        let names = ["whole", "killed"].map(|end| format!("{method}-{end}"));
        let [whole, killed] = names.each_ref().map(|name| place.path(name));
        let command = |name: &str| train_by(&place, &pattern, (method, settings), name);
        succeed(&mut command(&names[0]));
        kill_midway(&killed, || command(&names[1]));
        let said = succeed(&mut command(&names[1]));
        assert!(said.stderr.contains("resuming"), "{method} was not resumed: {}", said.stderr);
        assert!(tensors(&whole, 12) == tensors(&killed, 12), "{method}");
        let (one, other) = (losses(&whole), losses(&killed));
        assert!(one.len() == 12 && one[11][1].is_f64() && one == other, "{method}: {one:?} {other:?}");
        let saved = saved(&killed);
        let is_saved = |state: &&str| saved.iter().any(|name| name == state);
        assert!(states.iter().all(is_saved), "{method}: {saved:?}");
    }
}

#[test]
fn every_method_is_killed_once() {
    let all = MethodConfig::all(Preset::C10);
    let mut all: Vec<_> = all.iter().map(|method| method.chosen().name()).collect();
    all.retain(|name| *name != "amdim"); // killed five times above
    assert_eq!(METHODS.map(|(name, ..)| name).to_vec(), all);
}

#[test]
fn a_run_ended_by_a_signal_is_saved_and_resumed_to_the_bit() {
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
fn a_signal_ends_a_run_that_waits_for_data() {
    let place = Place::new();
    let samples = (0..20).map(|number| Entry { key: format!("{number}"), image: vec![1; 50], label: None });
    place.write("bad.tar", samples);
    let pattern = place.path("bad.tar").to_str().unwrap().to_owned();
    // A budget that is not exceeded for hours.
    let more = ["--steps", "5", "--max-bad", "100% after 1000000000 samples"];
    let mut child = place.train(&pattern, "run", &more).spawn().unwrap();
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
    assert_eq!(said.stderr.lines().count(), 2, "a message and a hint: {}", said.stderr);
}

#[test]
fn a_finished_run_is_not_changed_by_another_start() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    let first = succeed(&mut place.train(&pattern, "run", &["--steps", "2"]));
    let before = tensors(&place.path("run"), 2);
    let again = succeed(&mut place.train(&pattern, "run", &["--steps", "2"]));
    assert!(before == tensors(&place.path("run"), 2));
    assert_eq!(first.stdout, again.stdout);
}

#[test]
fn a_flag_that_contradicts_the_run_is_refused_by_name() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    succeed(&mut place.train(&pattern, "run", &["--steps", "2"]));
    let said = run(&mut place.train(&pattern, "run", &["--steps", "3", "--lr", "0.5", "--workers", "1"]));
    assert_eq!(said.code, Some(2));
    for part in ["`optim.lr` = 0.5 (was 0.0002)", "hint: ", "--out"] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
    assert!(!said.stderr.contains("workers`"), "{}", said.stderr);
}

#[test]
fn a_run_lengthened_before_its_end_equals_one_of_that_length_from_the_start() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let train = |out: &str, steps: &str, every: &str, more: &[&str]| {
        let length = ["--steps", steps, "--checkpoint-every", every, "--keep", "1"];
        place.train(&pattern, out, &[&length, more].concat())
    };
    let kill_at = |mut command: Command, step: u64| {
        let mut child = start_until(&mut command, &place.path("run"), step);
        child.kill().unwrap();
        child.wait().unwrap();
    };
    kill_at(train("run", "60", "1", &[]), 2);
    let said = succeed(&mut train("run", "66", "1", &[]));
    // The drops move to 5/6 and 14/15 of the new length.
    assert!(
        said.stderr.contains("becomes longer") && said.stderr.contains("after steps 55, 62"),
        "{}",
        said.stderr
    );
    succeed(&mut train("whole", "66", "1", &[]));
    assert!(tensors(&place.path("whole"), 66) == tensors(&place.path("run"), 66));
    for (steps, parts) in
        [("70", ["finished after 66 steps", "--extend"]), ("65", ["began with 66 steps", "--out"])]
    {
        let said = run(&mut train("run", steps, "1", &[]));
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(parts.iter().all(|part| said.stderr.contains(part)), "{}", said.stderr);
    }
    for _ in 0..2 {
        succeed(&mut train("run", "70", "1", &["--extend"])); // the second time the run has this length already
    }
    let records = lines(&place.path("run/metrics.jsonl"));
    let steps: Vec<_> = records.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=70).collect::<Vec<_>>());
    let rate = |step: usize| records[step - 1]["lr"].as_f64().unwrap();
    assert!(
        rate(56) > 2.0 * rate(63) && (66..=70).all(|step| rate(step).to_bits() == rate(63).to_bits()),
        "the learning rate does not drop again"
    );
    // The new length is saved at once, even if the run is killed before its next checkpoint.
    kill_at(train("run", "100000", "100000", &["--extend"]), 72);
    let state = json(&place.path("run/checkpoints/step-00000070/state.json"));
    assert_eq!(state["content"]["state"]["config"]["train"]["steps"], 100_000, "{state}");
}

#[test]
fn other_shards_are_refused_and_moved_shards_are_accepted() {
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
fn a_run_with_a_damaged_checkpoint_resumes_from_the_previous_one() {
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
fn a_checkpoint_that_cannot_be_written_ends_the_run_and_keeps_the_previous_one() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    succeed(&mut place.train(&pattern, "run", &["--steps", "2", "--checkpoint-every", "1"]));
    fs::remove_dir_all(place.path("run/checkpoints/step-00000002")).unwrap();
    let before = tensors(&place.path("run"), 1);
    // Files may have at most 16 blocks. SIGXFSZ is ignored, so that writing fails as on a full disk.
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
