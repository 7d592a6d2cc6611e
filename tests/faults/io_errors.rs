//! Calls of the system that fail: of shards, and in the run folder.

use std::{collections::BTreeSet, fs};

use dataset::Random;

use crate::{
    amount,
    shim::{EFAULT, EIO, ENOSPC, Failing, Shim},
    support::{Place, lines, program, tensors},
    watched::{Ended, losses},
};

const LENGTH: [&str; 4] = ["--steps", "4", "--max-bad", "100%"];

/// The shards in the list of bad samples.
fn listed(place: &Place, out: &str) -> BTreeSet<String> {
    let path = place.path(out).join("bad-samples.jsonl");
    let lines = if path.exists() { lines(&path) } else { Vec::new() };
    lines.iter().map(|line| line["shard"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn shards_that_cannot_be_read_now_and_then_are_named() {
    let (place, shim, mut random) = (Place::new(), Shim::new(), Random::new(&[5]));
    let pattern = place.shards("train", 6, 20);
    Ended::of(&mut place.train(&pattern, "whole", &LENGTH)).assert_done();
    let whole = tensors(&place.path("whole"), 4);
    let (mut failures, mut done, mut refused) = (0, 0, 0);
    for number in 0..amount(5, 60) {
        let out = format!("run-{number}");
        let calls = ["read", "open", "open,read"][number % 3];
        let (first, every) = (1 + random.below(15), [0, 3, 11][random.below(3)]);
        let failing = Failing { calls, files: "train-0", errno: EIO, first, every };
        // Without a cache of indices, so that they are read each time.
        let mut command = place.train(&pattern, &out, &LENGTH);
        let cache = place.path(&format!("cache-{number}"));
        command.env("AMDIM_STREAM_CACHE", &cache);
        let ended = Ended::of(shim.on(&mut command, failing));
        let (failed, _) = shim.failed();
        let named = listed(&place, &out);
        failures += failed.len();
        if ended.status.code() == Some(0) {
            ended.assert_done();
            done += 1;
            // An open that is tried again, or for samples that no step has asked for yet, is no loss; where other calls have failed
            // as well, there is no telling.
            let is_unharmed = tensors(&place.path(&out), 4) == whole;
            for (call, path) in failed.iter().filter(|(call, _)| failed.len() == 1 || call != "open") {
                let is_named = is_unharmed || named.contains(path) || ended.stderr.contains(path.as_str());
                assert!(is_named, "{call} of {path} failed: {named:?}, {}", ended.stderr);
            }
        } else {
            ended.assert_refused();
            refused += 1;
            let is_named = failed.iter().any(|(_, path)| ended.stderr.contains(path.as_str()));
            assert!(is_named, "{failed:?}: {}", ended.stderr);
        }
        // What could not be read then is read now: no index without it was kept.
        let again = format!("again-{number}");
        let mut command = place.train(&pattern, &again, &LENGTH);
        Ended::of(command.env("AMDIM_STREAM_CACHE", &cache)).assert_done();
        assert!(whole == tensors(&place.path(&again), 4), "{failed:?} is remembered");
    }
    assert!(failures > 0);
    println!(
        "shards whose open and read fail with EIO: {failures} failures, every shard named that lost samples by them; {done} runs \
         finished without those, {refused} ended in good order; later runs had them all"
    );
}

#[test]
fn pages_that_cannot_be_read_are_bad_samples() {
    let (place, shim, mut random) = (Place::new(), Shim::new(), Random::new(&[6]));
    let pattern = place.shards("train", 3, 40);
    let mut failures = 0;
    for number in 0..amount(2, 40) {
        let out = format!("run-{number}");
        let errno = [EFAULT, EIO][number % 2];
        let failing = Failing {
            calls: "populate",
            files: "",
            errno,
            first: 1 + random.below(50),
            every: 2 + random.below(20),
        };
        let ended = Ended::of(shim.on(&mut place.train(&pattern, &out, &LENGTH), failing));
        ended.assert_done();
        let (failed, _) = shim.failed();
        assert!(!failed.is_empty() && !listed(&place, &out).is_empty(), "{failing:?}: {}", ended.stderr);
        for line in lines(&place.path(&out).join("bad-samples.jsonl")) {
            assert!(line["reason"].as_str().unwrap().contains("its pages cannot be read"), "{line}");
        }
        failures += failed.len();
    }
    println!(
        "mapped pages that cannot be read (EFAULT, EIO): {failures} failures, all listed as bad samples"
    );
}

#[test]
fn calls_that_fail_in_the_run_folder_end_the_run_in_good_order() {
    let (place, shim) = (Place::new(), Shim::new());
    let pattern = place.shards("train", 1, 20);
    let length = ["--steps", "3", "--checkpoint-every", "1", "--keep", "1"];
    let failing = Failing::none("open,read,write,fsync,rename,mkdir", "/run-");
    let ended = Ended::of(shim.on(&mut place.train(&pattern, "run-whole", &length), failing));
    ended.assert_done();
    let whole = tensors(&place.path("run-whole"), 3);
    let (_, calls) = shim.failed();
    assert!(calls > 40, "{calls} calls in the run folder");
    let (mut refused, mut unharmed) = (0, 0);
    let step = calls.div_ceil(amount(8, calls));
    for (number, first) in (1..=calls).step_by(step).enumerate() {
        let out = format!("run-{number}");
        let errno = [EIO, ENOSPC][number % 2];
        let ended = Ended::of(
            shim.on(&mut place.train(&pattern, &out, &length), Failing { errno, first, ..failing }),
        );
        let (failed, _) = shim.failed();
        assert_eq!(failed.len(), 1, "call {first}");
        if ended.status.code() == Some(0) {
            ended.assert_done();
            unharmed += 1;
        } else {
            ended.assert_refused();
            refused += 1;
        }
        let ended = Ended::of(&mut place.train(&pattern, &out, &length));
        ended.assert_done();
        assert!(whole == tensors(&place.path(&out), 3), "{failed:?}: another result");
        let steps: Vec<_> = losses(&place.path(&out)).iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [1, 2, 3], "{failed:?}");
    }
    println!(
        "calls that fail in the run folder (EIO, ENOSPC): of {calls} calls of a run each {step}th; {refused} runs ended in good \
         order, {unharmed} did not need the call; all went on to the same bits"
    );
}

#[test]
fn calls_that_fail_while_a_run_is_promoted_leave_the_latest_whole() {
    let (place, shim) = (Place::new(), Shim::new());
    let pattern = place.shards("train", 1, 20);
    let promote = |run: &str, models: &str| {
        let mut command = place.train(&pattern, run, &["--steps", "1", "--promote"]);
        command.arg(place.path(models));
        command
    };
    let failing = Failing::none("open,read,write,fsync,rename,mkdir", "/models-");
    for run in ["first", "second"] {
        Ended::of(&mut place.train(&pattern, run, &["--steps", "1"])).assert_done();
    }
    let promoted = |models: &str| {
        let latest = place.path(models).join("latest");
        let record = fs::read(latest.join("promotion.json")).unwrap();
        assert!(latest.join("encoder.safetensors").exists());
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        record["run"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    Ended::of(&mut promote("first", "models-whole")).assert_done();
    Ended::of(shim.on(&mut promote("second", "models-whole"), failing)).assert_done();
    let (_, calls) = shim.failed();
    assert!(calls > 10, "{calls} calls in the folder of promotions");
    let (mut refused, mut unharmed) = (0, 0);
    let step = calls.div_ceil(amount(6, calls));
    for first in (1..=calls).step_by(step) {
        let models = format!("models-{first}");
        Ended::of(&mut promote("first", &models)).assert_done();
        // Whether it was done before is noted in the run folder.
        fs::remove_file(place.path("second/manifest.json")).unwrap();
        let ended = Ended::of(shim.on(&mut promote("second", &models), Failing { first, ..failing }));
        if ended.status.code() == Some(0) {
            unharmed += 1;
        } else {
            ended.assert_refused();
            refused += 1;
        }
        promoted(&models);
        Ended::of(&mut promote("second", &models)).assert_done();
        assert_eq!(promoted(&models), "second", "call {first} failed: {:?}", shim.failed());
    }
    println!(
        "calls that fail while a run is promoted (EIO): of {calls} calls each {step}th; {refused} starts ended in good order, \
         {unharmed} did not need the call; the latest was whole at any time"
    );
}

#[test]
fn shards_that_cannot_be_read_for_a_while_are_not_cleaned_away() {
    let (place, shim) = (Place::new(), Shim::new());
    let pattern = place.shards("train", 2, 4);
    let clean = || {
        let mut command = program();
        command.args(["verify", "--workers", "1", "--shards", &pattern, "--force", "--fix"]);
        command.arg(place.path("clean"));
        command
    };
    let failing = Failing::none("open,read,populate", "/train-000.tar");
    Ended::of(shim.on(&mut clean(), failing)).assert_done();
    let (_, calls) = shim.failed();
    let whole = fs::read(place.path("clean/train-000.tar")).unwrap();
    assert!(calls > 10, "{calls} calls");
    let step = calls.div_ceil(amount(8, calls));
    for first in (1..=calls).step_by(step) {
        let ended = Ended::of(shim.on(&mut clean(), Failing { first, ..failing }));
        assert_eq!(ended.status.code(), Some(1), "call {first}: {:?} {}", shim.failed(), ended.stderr);
        ended.assert_refused();
        assert!(fs::read(place.path("clean/train-000.tar")).unwrap() == whole, "call {first}");
    }
    println!(
        "calls that fail while shards are cleaned (EIO): of {calls} calls each {step}th was refused, and what was clean before stayed"
    );
}

/// Returns whether a file has whole records of events only: a length in eight bytes, its checksum, so many bytes, theirs.
fn has_whole_records(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk() else { return bytes.is_empty() };
    let end = 4 + u64::from_le_bytes(*length) as usize + 4;
    rest.len() >= end && has_whole_records(&rest[end..])
}

#[test]
fn event_files_that_cannot_be_written_cost_no_step() {
    let (place, shim) = (Place::new(), Shim::new());
    let pattern = place.shards("train", 1, 20);
    let length = ["--steps", "6", "--tensorboard"];
    Ended::of(&mut place.train(&pattern, "whole", &length)).assert_done();
    let whole = tensors(&place.path("whole"), 6);
    let (mut failures, mut written) = (0, 0);
    for (number, every) in [0, 1, 2, 5].into_iter().enumerate() {
        let out = format!("run-{number}");
        let failing =
            Failing { calls: "open,write", files: "/tensorboard", errno: ENOSPC, first: 1 + number, every };
        let ended = Ended::of(shim.on(&mut place.train(&pattern, &out, &length), failing));
        ended.assert_done();
        let (failed, _) = shim.failed();
        failures += failed.len();
        assert!(
            !failed.is_empty() && ended.stderr.matches("cannot write events to").count() == 1,
            "{}",
            ended.stderr
        );
        assert!(tensors(&place.path(&out), 6) == whole, "{failing:?}: another result");
        let steps: Vec<_> = losses(&place.path(&out)).iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6]);
        for file in fs::read_dir(place.path(&out).join("tensorboard")).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.is_empty() && has_whole_records(&bytes), "{failing:?}");
            written += 1;
        }
    }
    assert!(written > 0, "files go on after a failure");
    println!(
        "event files that cannot be written (ENOSPC): {failures} failures, every run has all steps and the same bits"
    );
}
