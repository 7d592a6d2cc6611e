//! A run that was killed several times, as TensorBoard shows it.

use std::{
    env, fs,
    hash::{BuildHasher, RandomState},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use amdim_stream::{metrics, metrics::Record, report::pairs};
use dataset::Random;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::reader;
use crate::support::{Place, lines, program, python, start_until, succeed};

/// How often the run is killed.
const KILLS: usize = 5;
/// The samples that the image of a validation shows, and those of the set.
const SHOWN: u64 = 8;
const SAMPLES: u64 = 40;
/// The width and height of a view, and the pixels between two of them.
const SIDE: u32 = 32;
const GAP: u32 = 4;

/// Numbers of a seed, which a test that fails tells.
struct Drawn {
    seed: u64,
    random: Random,
}

impl Drawn {
    /// Takes the seed of the variable `AMDIM_SEED`, or another one each time.
    fn new() -> Self {
        let asked = env::var("AMDIM_SEED").ok().map(|text| text.parse().expect("AMDIM_SEED is a number"));
        let seed = asked.unwrap_or_else(|| RandomState::new().hash_one(KILLS) >> 32);
        Self { seed, random: Random::new(&[seed]) }
    }
}

impl Drop for Drawn {
    #[expect(clippy::print_stderr, reason = "the seed belongs to the message of the failure")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the moments were drawn from this seed: AMDIM_SEED={}", self.seed);
        }
    }
}

/// Returns the last step that the run has recorded.
fn last_step(run: &Path) -> u64 {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let step = |line: &str| serde_json::from_str::<Value>(line).ok()?["step"].as_u64();
    text.lines().rev().find_map(step).unwrap_or(0)
}

/// Starts the run and kills it while it starts, or after some steps.
fn kill_at_a_drawn_moment(command: &mut Command, run: &Path, random: &mut Random) {
    let is_starting = random.below(4) == 0;
    let step = if is_starting { 0 } else { last_step(run) + 1 + random.below(4) as u64 };
    let mut child = start_until(command, run, step);
    let most = if is_starting { 700_000 } else { 40_000 };
    thread::sleep(Duration::from_micros(random.below(most) as u64));
    assert!(child.try_wait().unwrap().is_none(), "the run ended before it was killed");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Kills a run several times at drawn moments, and ends it in order some steps later.
fn survive(command: &mut Command, run: &Path, random: &mut Random) {
    for _ in 0..KILLS {
        kill_at_a_drawn_moment(command, run, random);
    }
    let last = last_step(run);
    let mut child = start_until(command, run, last + 12);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// Panics unless each step has the scores of all pairs of its batch, once. A process that is killed may have recorded a
/// step and not written its scores yet; the last process has written all of them.
fn check_histograms(found: &Value, resumed: u64, last: u64) {
    for (part, locations) in [("1t5", 25.0), ("1t7", 49.0), ("5t5", 25.0)] {
        let histograms = found["histograms"][format!("scores/{part}")].as_array().unwrap();
        assert!(
            histograms.iter().all(|found| found[3].as_f64() == Some(16.0 * 16.0 * locations)),
            "{part}: {histograms:?}"
        );
        let steps: Vec<_> = histograms.iter().map(|found| found[0].as_u64().unwrap()).collect();
        assert!(steps.is_sorted_by(|one, other| one < other), "{part}: {steps:?}");
        let of_last_process = steps.iter().copied().filter(|&step| step > resumed);
        assert!(of_last_process.eq(resumed + 1..=last), "{part}, {resumed} to {last}: {steps:?}");
    }
}

/// Returns the views of a sample in an epoch of the run, as `show` draws them.
fn shown(place: &Place, index: u64, epoch: u64) -> Vec<Vec<u8>> {
    let (key, epoch, out) = (format!("{index:05}"), epoch.to_string(), place.path("shown.png"));
    let mut show = program();
    show.args(["show", "--force", "--sample", &key, "--epoch", &epoch, "--run"]).arg(place.path("run"));
    succeed(show.arg("-o").arg(&out).env("AMDIM_STREAM_CACHE", place.path("cache")));
    let strip = image::open(&out).unwrap().into_rgb8();
    // The views are below each other, to the right of the image.
    let left = strip.width() - SIDE;
    let view = |number| image::imageops::crop_imm(&strip, left, number * (SIDE + GAP), SIDE, SIDE);
    (0..2).map(|number| view(number).to_image().into_raw()).collect()
}

/// Panics unless every validation has at most one image, and those of two epochs have the pixels of `show`.
fn check_images(place: &Place, found: &Value, records: &[Record], random: &mut Random) {
    let images = found["images"]["views"].as_array().unwrap();
    let steps: Vec<_> = images.iter().map(|image| image[0].as_u64().unwrap()).collect();
    assert!(steps.is_sorted_by(|one, other| one < other), "{steps:?}");
    let epoch = |step: u64| {
        let validations = records.iter().filter(|record| record.validation().is_some());
        validations.rev().find(|record| record.step() == step).and_then(Record::epoch).unwrap() as u64
    };
    let begun = records.iter().rev().find_map(Record::epoch).unwrap() as u64;
    let known: Vec<_> = images.iter().zip(&steps).filter(|(_, step)| epoch(**step) < begun).collect();
    assert!(known.len() > 2, "images of steps {steps:?}, {begun} epochs");
    for _ in 0..2 {
        let (image, step) = known[random.below(known.len())];
        let bytes = reader::decoded(image[3].as_str().unwrap());
        let grid = image::load_from_memory(&bytes).unwrap().into_rgb8();
        assert_eq!(grid.dimensions(), (2 * SIDE + GAP, SHOWN as u32 * (SIDE + GAP) - GAP));
        for (row, index) in (0..).zip(pairs::evenly(SAMPLES, SHOWN)) {
            for (column, view) in (0..).zip(shown(place, index, epoch(*step))) {
                let (left, top) = (column * (SIDE + GAP), row * (SIDE + GAP));
                let drawn = image::imageops::crop_imm(&grid, left, top, SIDE, SIDE).to_image();
                assert!(drawn.into_raw() == view, "sample {index}, view {column}, step {step}");
            }
        }
    }
}

#[test]
fn every_loader_shows_each_step_of_a_run_killed_at_drawn_moments_once_with_the_values_of_its_records() {
    let place = Place::new();
    let mut drawn = Drawn::new();
    let (train, val) = (place.shards("train", 1, SAMPLES as usize), place.shards("val", 1, 16));
    let steps = ["--steps", "100000", "--checkpoint-every", "4", "--knn-every", "1", "--tensorboard"];
    let run = place.path("run");
    let mut command = place.train(&train, "run", &[&steps[..], &["--val-shards", &val]].concat());
    survive(&mut command, &run, &mut drawn.random);
    let folder = run.join("tensorboard");
    assert!(fs::read_dir(&folder).unwrap().count() > 1, "each process has its file");

    let records = metrics::read(&run.join("metrics.jsonl")).unwrap();
    let expected = reader::of_records(&run, &records);
    let steps: Vec<_> = expected["loss/total"].iter().map(|(step, _)| *step).collect();
    let last = *steps.last().unwrap();
    assert_eq!(steps, (1..=last).collect::<Vec<_>>());
    assert!(
        ["loss/1t5", "chance/1t5", "validation/linear", "knn/20"]
            .iter()
            .all(|tag| expected.contains_key(*tag)),
        "{expected:?}"
    );

    let found = reader::read(&folder);
    assert_eq!(reader::scalars(&found["scalars"]), expected, "EventAccumulator");
    let history = lines(&run.join("history.jsonl"));
    let starts: Vec<_> = history.iter().filter(|event| event["kind"] == "start").collect();
    check_histograms(&found, starts.last().unwrap()["step"].as_u64().unwrap(), last);
    check_images(&place, &found, &records, &mut drawn.random);
    let text = found["texts"]["config"].as_array().unwrap().last().unwrap();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert_eq!(text[1], format!("```toml\n{config}```\n"));
    let served = python("board.py", &["serve", folder.to_str().unwrap(), &last.to_string()]);
    let served: Value = serde_json::from_str(&served).unwrap();
    for loader in ["fast", "slow"] {
        assert_eq!(reader::scalars(&served[loader]), expected, "the {loader} loader");
    }
}

/// A folder that cannot be written to costs event files and nothing else.
#[test]
fn a_run_goes_on_without_event_files_that_cannot_be_written() {
    let place = Place::new();
    let (train, run) = (place.shards("train", 1, 20), place.path("run"));
    let more = ["--steps", "30", "--checkpoint-every", "1"];
    let mut child = start_until(&mut place.train(&train, "run", &more), &run, 2);
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(run.join("tensorboard"), "in the way").unwrap();
    let said = succeed(&mut place.train(&train, "run", &[&more[..], &["--tensorboard"]].concat()));
    assert_eq!(said.stderr.matches("cannot write events to").count(), 1, "{}", said.stderr);
    let told = said.stderr.split("could not be written for TensorBoard: ").nth(1).unwrap();
    let dropped: u64 = told.split(' ').next().unwrap().parse().unwrap();
    // The records of the first process, and a record and three histograms of each later step.
    assert!((30..120).contains(&dropped) && (120 - dropped).is_multiple_of(3), "{dropped}");
    assert_eq!(metrics::read(&run.join("metrics.jsonl")).unwrap().len(), 30);
}
