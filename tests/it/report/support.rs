//! Run folders for reports: real ones, and made-up ones in every state.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use amdim_stream::report::{self, Options, Subject};

use crate::support::{Entry, Place, jpeg, program, succeed};

/// Text that must not leave its place in a page.
pub(super) const HOSTILE: &str = "<script>alert(1)<img onerror=alert(2) src=x>\"'&😀 שלום";

/// Trains a tiny model with labels, validations and neighbours; `name` is its run folder.
pub(super) fn train(place: &Place, name: &str) -> PathBuf {
    let (train, val) = (place.shards("train", 2, 24), place.shards("val", 1, 24));
    let more = ["--steps", "12", "--val-shards", &val, "--knn-every", "1", "--validate-every", "1"];
    succeed(&mut place.train(&train, name, &more));
    place.path(name)
}

/// Trains a tiny model on samples whose keys and classes are [`HOSTILE`], in a folder with such a name, with one sample
/// that is no image and one that is too thin.
pub(super) fn train_hostile(place: &Place) -> PathBuf {
    let folder = "a&\"'x";
    fs::create_dir_all(place.path(folder)).unwrap();
    let key = |number: usize| format!("{number:03}{}", HOSTILE.replace('/', ""));
    let entry = |number: usize| Entry {
        key: key(number),
        image: if number == 5 { b"\xff\xd8\xff\xe0no image".to_vec() } else { jpeg(number) },
        label: Some((number % 3).to_string()),
    };
    place.write(&format!("{folder}/train-000.tar"), (0..40).map(entry));
    place.write(&format!("{folder}/val-000.tar"), (40..60).map(entry));
    fs::write(place.path(folder).join("classes.txt"), format!("{HOSTILE}\nbee\n</td></table>\n")).unwrap();
    let shards = |name: &str| place.path(folder).join(name).to_str().unwrap().to_owned();
    let val = shards("val-*.tar");
    let more = ["--steps", "6", "--val-shards", &val, "--knn-every", "1", "--max-bad", "50%"];
    succeed(&mut place.train(&shards("train-*.tar"), &format!("{folder}/run</title>"), &more));
    place.path(&format!("{folder}/run</title>"))
}

/// Writes a run folder with the settings of `like` and these lines of records.
pub(super) fn made_up(place: &Place, name: &str, like: &Path, metrics: &str) -> PathBuf {
    let folder = place.path(name);
    fs::create_dir_all(&folder).unwrap();
    for file in ["config.toml", "manifest.json"] {
        let text = fs::read_to_string(like.join(file)).unwrap();
        // As in a run that goes on.
        let text = text.lines().map(|line| {
            if line.trim_start().starts_with("\"finished\"") { "  \"finished\": null," } else { line }
        });
        fs::write(folder.join(file), text.collect::<Vec<_>>().join("\n")).unwrap();
    }
    if !metrics.is_empty() {
        fs::write(folder.join("metrics.jsonl"), metrics).unwrap();
    }
    folder
}

/// Returns so many records of training, without a loss where `is_broken`.
pub(super) fn records(count: u64, is_broken: impl Fn(u64) -> bool) -> String {
    let mut lines = String::new();
    for step in 1..=count {
        let wave = (step as f64 * 0.37).sin() * 0.2;
        let loss = 20.0 / (1.0 + step as f64 / count as f64) + wave;
        let loss =
            if is_broken(step) { String::new() } else { format!("\"loss\":{loss},\"1t5\":{},", loss / 3.0) };
        let _ = writeln!(
            lines,
            "{{\"format\":1,\"kind\":\"train\",\"step\":{step},{loss}\"chance\":22.5,\"lr\":0.001,\"images_per_second\":{},\
             \"data_wait\":{},\"bound\":\"data\",\"bound_share\":0.3,\"step_ms\":12.5}}",
            300.0 + 40.0 * wave,
            (0.3 + wave).abs()
        );
    }
    lines
}

/// Returns the page about runs.
pub(super) fn page(runs: &[&Path], images: usize) -> String {
    let runs: Vec<_> = runs.iter().map(|run| Subject::read(run).unwrap()).collect();
    report::page(&runs, &Options { images, live: None }).unwrap()
}

/// Returns a command that uses the place's cache.
pub(super) fn command(place: &Place, words: &[&str]) -> Command {
    let mut command = program();
    command.args(words).current_dir(place.path(".")).env("AMDIM_STREAM_CACHE", place.path("cache"));
    command
}
