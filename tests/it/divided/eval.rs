//! `eval` in several processes. Features of the same images in batches of other samples may differ in the last bits.

use std::{fs, process::Command};

use serde_json::Value;

use super::ranks::lead_of;
use crate::support::{Entry, Place, Said, jpeg, json, program, succeed};

/// Writes a set for training, and two for validation: `val`, with two damaged images, one in each half, and `whole`. Trains
/// an encoder that tolerates `max_bad` bad samples.
fn prepare(place: &Place, max_bad: &str) {
    let pattern = place.shards("train", 3, 20);
    place.shards("whole", 2, 15);
    for shard in 0..2 {
        let entry = |number: usize| Entry {
            key: format!("{number}"),
            image: if [4, 31].contains(&number) { jpeg(number)[..200].to_vec() } else { jpeg(60 + number) },
            label: (number != 7).then(|| (number % 3).to_string()),
        };
        place.write(&format!("val-{shard:03}.tar"), (0..18).map(|k| entry(18 * shard + k)));
    }
    succeed(&mut place.train(&pattern, "run", &["--steps", "1", "--max-bad", max_bad]));
}

fn eval(place: &Place, set: &str, words: &[&str]) -> Command {
    let mut command = program();
    command.arg("eval").args(words).args(["--device", "cpu", "--val-shards", &place.pattern(set, 2)]);
    command.arg("--checkpoint").arg(place.path("run")).env("AMDIM_STREAM_CACHE", place.path("cache"));
    command
}

/// Returns what was printed, and the file of results.
fn results(place: &Place, said: &Said, name: &str) -> (Vec<Value>, Value) {
    let printed = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let checkpoints = fs::read_dir(place.path("run/checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = checkpoints.map(|path| path.join(format!("eval-{name}.json"))).collect();
    files.retain(|path| path.exists());
    assert_eq!(files.len(), 1);
    (printed, json(&files[0]))
}

/// Checks that two values are equal, but for rounding of numbers that are not whole.
fn assert_close(one: &Value, other: &Value, path: &str) {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate();
            pairs.for_each(|(number, (one, other))| assert_close(one, other, &format!("{path}/{number}")));
        }
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            one.iter().for_each(|(key, value)| assert_close(value, &other[key], &format!("{path}/{key}")));
        }
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            assert!((one - other).abs() <= 1e-3 * one.abs().max(1e-2), "{path}: {one}, {other}");
        }
        _ => assert_eq!(one, other, "{path}"),
    }
}

/// Runs an evaluation in one process and in two, and compares what they print and write.
fn compare(place: &Place, set: &str, name: &str, words: impl Fn(usize) -> Vec<String>) -> [Said; 2] {
    let run = |size: usize| {
        let words = words(size);
        let words: Vec<_> = [name].into_iter().chain(words.iter().map(String::as_str)).collect();
        let said = lead_of(size, 0, || eval(place, set, &words));
        let results = results(place, &said, name);
        (said, results)
    };
    let (one, (printed, written)) = run(1);
    let (two, (printed_by_two, written_by_two)) = run(2);
    assert_close(&Value::Array(printed), &Value::Array(printed_by_two), "printed");
    assert_close(&written, &written_by_two, "written");
    [one, two]
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn neighbours_are_those_of_one_process_with_bad_samples_and_an_untrained_encoder() {
    let place = Place::new();
    prepare(&place, "2");
    for said in compare(&place, "val", "knn", |_| words(&["--k", "5", "--baseline"])) {
        assert_eq!(
            said.stderr.matches("bad samples left out: 2").count(),
            2,
            "of each encoder: {}",
            said.stderr
        );
        let samples = said.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let samples: Vec<_> = samples.map(|line| line["report"]["samples"].as_u64().unwrap()).collect();
        assert_eq!(samples, [33, 33], "36 but for 2 bad ones and one without label");
    }
}

#[test]
fn classifiers_are_those_of_one_process_and_the_bad_samples_of_all_processes_count_together() {
    let place = Place::new();
    prepare(&place, "1");
    for size in [1, 2] {
        let said = lead_of(size, 1, || eval(&place, "val", &["knn", "--k", "5"]));
        assert!(said.stderr.contains("more than 1; the last: sample `31`"), "{}", said.stderr);
    }
    compare(&place, "whole", "linear", |size| {
        let folder = place.path(&format!("features-{size}")).display().to_string();
        words(&["--solver", "lbfgs", "--cache-features", &folder])
    });
    let files = |size: usize| super::ranks::files(&place.path(&format!("features-{size}")));
    let (one, two) = (files(1), files(2));
    assert_eq!(one.len(), 4, "features and labels of both sets");
    assert!(one.keys().eq(two.keys()));
    for (name, bytes) in &one {
        if name.ends_with(".labels") {
            assert_eq!(bytes, &two[name]);
            continue;
        }
        let numbers = |bytes: &[u8]| -> Vec<f32> {
            bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
        };
        let (one, two) = (numbers(bytes), numbers(&two[name]));
        assert_eq!(one.len(), two.len());
        assert!(one.iter().zip(&two).all(|(one, two)| (one - two).abs() <= 1e-4 * one.abs().max(1.0)));
    }
    // Two processes read what one has kept.
    let folder = place.path("features-1").display().to_string();
    let said = lead_of(2, 0, || eval(&place, "whole", &["knn", "--k", "5", "--cache-features", &folder]));
    assert_eq!(said.stderr.matches("features of ").count(), 2, "{}", said.stderr);
    let flags = ["--protocol", "reference", "--epochs", "1", "--batch-size", "10"];
    compare(&place, "whole", "mlp", |_| words(&flags)); // its norms move
}
