//! A run that was killed several times, as TensorBoard shows it.

use std::fs;

use amdim_stream::metrics;
use serde_json::Value;

use super::reader;
use crate::support::{Place, python, start_until, succeed};

/// Kills the run when it has logged these steps: within the first checkpoint interval, right after a checkpoint, and
/// between two.
const KILLS: [u64; 3] = [2, 5, 10];

#[test]
fn every_loader_shows_each_step_of_a_killed_run_once_with_the_values_of_its_records() {
    let place = Place::new();
    let (train, val) = (place.shards("train", 1, 40), place.shards("val", 1, 16));
    let more = [
        "--steps",
        "12",
        "--checkpoint-every",
        "4",
        "--knn-every",
        "1",
        "--tensorboard",
        "--val-shards",
        &val,
    ];
    let run = place.path("run");
    for step in KILLS {
        let mut child = start_until(&mut place.train(&train, "run", &more), &run, step);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    succeed(&mut place.train(&train, "run", &more));
    let folder = run.join("tensorboard");
    assert!(fs::read_dir(&folder).unwrap().count() > 1, "each process has its file");

    let records = metrics::read(&run.join("metrics.jsonl")).unwrap();
    let expected = reader::of_records(&run, &records);
    let steps: Vec<_> = expected["loss/total"].iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, (1..=12).collect::<Vec<_>>());
    assert!(
        ["loss/1t5", "chance/1t5", "validation/linear", "knn/20"]
            .iter()
            .all(|tag| expected.contains_key(*tag)),
        "{expected:?}"
    );

    let found = reader::read(&folder);
    assert_eq!(reader::scalars(&found["scalars"]), expected, "EventAccumulator");
    for (part, locations) in [("1t5", 25.0), ("1t7", 49.0), ("5t5", 25.0)] {
        let histograms = found["histograms"][format!("scores/{part}")].as_array().unwrap();
        let of_steps =
            histograms.iter().map(|found| (found[0].as_u64().unwrap(), found[3].as_f64().unwrap()));
        let expected = (1..=12).map(|step| (step, 16.0 * 16.0 * locations));
        assert_eq!(of_steps.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "scores of {part}");
    }
    let last = found["texts"]["config"].as_array().unwrap().last().unwrap();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert_eq!(last[1], format!("```toml\n{config}```\n"));
    let served: Value =
        serde_json::from_str(&python("board.py", &["serve", folder.to_str().unwrap(), "12"])).unwrap();
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
