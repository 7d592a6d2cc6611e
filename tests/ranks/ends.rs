//! Runs that are told to stop.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::{
    group::{Ranks, assert_codes, checkpoints, last_step},
    support::{Place, json, tensors},
};

#[test]
fn a_signal_to_any_process_or_to_all_ends_all_after_the_same_step_with_one_checkpoint() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    for (name, told) in [("lead", &[0][..]), ("other", &[1]), ("all", &[0, 1])] {
        let run = place.path(name);
        let commands = (0..2)
            .map(|_| place.train(&pattern, name, &["--precision", "f32", "--steps", "100000"]))
            .collect();
        let mut ranks = Ranks::start(commands);
        assert!(ranks.until(|_| last_step(&run) >= 3), "{}", ranks.all_said());
        for &rank in told {
            ranks.signal(rank, Signal::TERM);
        }
        let ended = ranks.wait();
        assert_codes(&ended, 130);
        let saved = checkpoints(&run);
        assert_eq!(saved.len(), 1, "{ended:?}");
        assert!(ended[0].stderr.contains(&format!("saved, step {}", saved[0])), "{ended:?}");
        let is_named =
            ended[0].stderr.contains("rank 1 (process ") && ended[0].stderr.contains("was told to stop");
        assert!(name == "all" || is_named == (name == "other"), "{ended:?}");
    }
}

#[test]
fn interruptions_at_any_moment_leave_the_bits_of_an_undisturbed_run() {
    let place = Place::new();
    let (pattern, validation) = (place.shards("train", 3, 20), place.shards("val", 1, 30));
    let (attempts, steps) = (crate::amount(5, 100), crate::amount(24, 900));
    let length = [
        "--precision",
        "f32",
        "--steps",
        &steps.to_string(),
        "--val-shards",
        &validation,
        "--checkpoint-every",
        "5",
    ];
    assert_codes(&Ranks::train(&place, 2, &pattern, "whole", &length), 0);
    let whole = tensors(&place.path("whole"), steps as u64);
    let run = place.path("often");
    let mut interrupted = 0;
    for number in 0..attempts as u64 {
        let commands = (0..2).map(|_| place.train(&pattern, "often", &length)).collect();
        let mut ranks = Ranks::start(commands);
        assert!(ranks.until(|ranks| ranks.said(0).contains("have come")), "{}", ranks.all_said());
        let start = Instant::now();
        // While it starts, in steps, in the validations of every third step, while it saves.
        let (at, delay) = (last_step(&run) + number % 4, Duration::from_millis(37 * number % 160));
        ranks.until(|_| if number % 3 == 0 { start.elapsed() > 3 * delay } else { last_step(&run) > at });
        std::thread::sleep(delay / 16);
        if !ranks.has_ended(1) {
            ranks.signal(number as usize % 2, Signal::TERM);
        }
        let ended = ranks.wait();
        let codes: Vec<_> = ended.iter().map(crate::group::Ended::code).collect();
        // A signal before the program listens ends it at once, and the other process then fails.
        let is_orderly = codes == [Some(130); 2] || codes == [Some(0); 2];
        assert!(is_orderly || codes.contains(&None) || codes.contains(&Some(1)), "{ended:?}");
        interrupted += u32::from(codes == [Some(130); 2]);
    }
    println!(
        "{interrupted} of {attempts} starts were interrupted in order, last at step {} of {steps}",
        last_step(&run)
    );
    assert!(interrupted as usize >= attempts * 2 / 5, "only {interrupted} orderly interruptions");
    assert_codes(&Ranks::train(&place, 2, &pattern, "often", &length), 0);
    assert!(tensors(&run, steps as u64) == whole, "not to the bit");
}

#[test]
fn time_runs_out_for_all_processes_at_once() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let summary = place.path("summary.json");
    let more = [
        "--precision",
        "f32",
        "--steps",
        "100000",
        "--max-hours",
        "0.001",
        "--summary",
        summary.to_str().unwrap(),
    ];
    let ended = Ranks::train(&place, 2, &pattern, "run", &more);
    assert_codes(&ended, 130);
    assert_eq!(checkpoints(&place.path("run")).len(), 1);
    assert_eq!(json(&summary)["interrupted_by"], "time");
}
