//! Run folders of earlier versions are read.

use std::{fs, path::Path};

use crate::support::{Place, lines, program, succeed};

/// A copy of the run that an earlier version made, and the shards that it was trained on.
fn place() -> Place {
    let place = Place::new();
    for (prefix, count) in [("train", "24"), ("val", "12")] {
        let data = place.path("data");
        let args = ["synth", "--side", "32", "--shards", "1", "--prefix", prefix, "--count", count, "--out"];
        succeed(program().args(args).arg(data));
    }
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/earlier/run"), &place.path("run"));
    place
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_run_of_an_earlier_version_is_resumed_from_its_checkpoint() {
    let place = place();
    let before = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let mut command = program();
    command.arg("--shards").arg(place.path("data/train-000.tar"));
    command.arg("--val-shards").arg(place.path("data/val-000.tar"));
    command
        .args(["--preset", "c10", "--steps", "8", "--extend", "--log-every", "2", "--out"])
        .arg(place.path("run"));
    let said = succeed(command.env("AMDIM_STREAM_CACHE", place.path("cache")));
    assert!(said.stderr.contains("step 4"), "it begins anew: {}", said.stderr);
    let metrics = place.path("run/metrics.jsonl");
    assert!(
        fs::read_to_string(&metrics).unwrap().starts_with(&before),
        "lines of the earlier version were changed"
    );
    let of_training = |line: &serde_json::Value| (line["kind"] == "train").then(|| line["step"].as_u64());
    let steps: Vec<_> = lines(&metrics).iter().filter_map(of_training).flatten().collect();
    assert_eq!(steps, [2, 4, 6, 8]);
}

#[test]
fn a_checkpoint_of_an_earlier_version_is_evaluated_and_exported() {
    let place = place();
    let mut eval = program();
    eval.args(["eval", "knn", "--checkpoint"]).arg(place.path("run"));
    eval.arg("--shards").arg(place.path("data/train-000.tar"));
    eval.arg("--val-shards").arg(place.path("data/val-000.tar"));
    let said = succeed(eval.env("AMDIM_STREAM_CACHE", place.path("cache")));
    assert!(said.stdout.contains("\"step\":4"), "{}", said.stdout);
    let mut export = program();
    export.args(["export", "--checkpoint"]).arg(place.path("run"));
    succeed(export.arg("--out").arg(place.path("encoder.safetensors")));
}
