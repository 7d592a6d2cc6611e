//! A process is lost: it ends, is killed, or stops.

use std::{fs, path::Path, time::Duration};

use rustix::process::Signal;

use crate::{
    group::{Ended, Ranks, assert_codes, checkpoints, last_step},
    support::{Place, tensors},
};

/// The patience of these tests, in seconds.
const PATIENCE: u64 = 4;
/// What a loaded machine may add to the times that are promised.
const SLACK: Duration = Duration::from_secs(8);

/// The moments at which a process is lost.
const MOMENTS: [&str; 4] = ["start", "step", "validation", "save"];

struct Scene {
    place: Place,
    pattern: String,
    validation: String,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let (pattern, validation) = (place.shards("train", 3, 20), place.shards("val", 1, 400));
        Self { place, pattern, validation }
    }

    fn run(&self, out: &str) -> std::path::PathBuf {
        self.place.path(out)
    }

    /// Starts `size` processes, which validate or save often if that is `moment`.
    fn start(&self, size: usize, out: &str, moment: &str) -> Ranks {
        let patience = PATIENCE.to_string();
        let mut more = vec![
            "--precision",
            "f32",
            "--steps",
            "100000",
            "--checkpoint-every",
            if moment == "save" { "1" } else { "7" },
            "--peer-timeout",
            &patience,
        ];
        if moment == "validation" {
            more.extend(["--val-shards", &self.validation]);
        }
        Ranks::start((0..size).map(|_| self.place.train(&self.pattern, out, &more)).collect())
    }

    /// Waits for the moment.
    fn reach(&self, ranks: &mut Ranks, out: &str, moment: &str, random: u64) {
        let run = self.run(out);
        match moment {
            "start" => assert!(ranks.until(|ranks| ranks.said(0).contains("have come"))),
            "step" => assert!(ranks.until(|_| last_step(&run) >= 3 + random), "{}", ranks.all_said()),
            // While the checkpoint of one of the first steps is written, or soon after.
            "save" => assert!(ranks.until(|_| is_saving(&run)), "{}", ranks.all_said()),
            // Between the last step of an epoch, of which there are three, and the record of its validation.
            _ => assert!(ranks.until(|_| last_step(&run) >= 3), "{}", ranks.all_said()),
        }
    }
}

/// Returns whether the run has checkpoints and is writing another one.
fn is_saving(run: &Path) -> bool {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.len() > 3 && names.iter().any(|name| name.starts_with(".partial"))
}

/// Panics unless the others have ended as promised, after a loss of `rank`. Returns the step that was saved.
#[track_caller]
fn assert_left(ended: &[Ended], rank: usize, run: &Path) -> Option<u64> {
    for (other, ended) in ended.iter().enumerate().filter(|(other, _)| *other != rank) {
        assert_eq!(ended.code(), Some(1), "rank {other}: {ended:?}");
        let error = ended.stderr.split("ERROR").nth(1).unwrap_or_default();
        assert!(error.contains(&format!("rank {rank} (process ")), "rank {other}: {ended:?}");
        assert!(!ended.stderr.contains("panicked") && !ended.stderr.contains("crash"), "{ended:?}");
    }
    let said = &ended[0].stderr;
    let saved =
        said.split("saved, step ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    if rank != 0 && saved.is_some() {
        assert_eq!(checkpoints(run).last().copied(), saved, "{said}");
    }
    saved
}

#[test]
fn the_others_end_at_once_and_save_the_last_step_if_a_process_is_killed() {
    let scene = Scene::new();
    for (number, moment) in MOMENTS.iter().enumerate() {
        for rank in [1, 0] {
            let out = format!("{moment}-{rank}");
            let mut ranks = scene.start(4, &out, moment);
            scene.reach(&mut ranks, &out, moment, number as u64);
            ranks.signal(rank, Signal::KILL);
            let took = ranks.wait_but_for(rank);
            assert!(took < Duration::from_secs(2) + SLACK, "{took:?}\n{}", ranks.all_said());
            let ended = ranks.wait();
            assert!(ended[rank].is_killed());
            let saved = assert_left(&ended, rank, &scene.run(&out));
            if *moment != "start" && rank == 1 {
                assert!(saved.is_some_and(|step| step >= 3), "{ended:?}");
            }
        }
    }
}

#[test]
fn the_others_end_after_the_timeout_if_a_process_does_not_answer() {
    let scene = Scene::new();
    for (moment, rank) in [("start", 1), ("step", 1), ("step", 0), ("validation", 1)] {
        let out = format!("{moment}-{rank}");
        let mut ranks = scene.start(2, &out, moment);
        scene.reach(&mut ranks, &out, moment, 1);
        ranks.signal(rank, Signal::STOP);
        let took = ranks.wait_but_for(rank);
        let promised = Duration::from_secs(PATIENCE + 2);
        assert!(took < promised + SLACK, "{took:?}\n{}", ranks.all_said());
        ranks.signal(rank, Signal::CONT);
        let ended = ranks.wait();
        if moment != "start" {
            let saved = assert_left(&ended, rank, &scene.run(&out));
            assert!(rank == 0 || saved.is_some_and(|step| step >= 3), "{ended:?}");
            let other = &ended[1 - rank].stderr;
            assert!(other.contains("has not answered for") && other.contains("--peer-timeout"), "{other}");
        }
    }
}

#[test]
fn a_process_that_fails_tells_the_others_why() {
    let scene = Scene::new();
    let run = scene.run("removed");
    let mut ranks = scene.start(2, "removed", "step");
    assert!(ranks.until(|_| last_step(&run) >= 2), "{}", ranks.all_said());
    fs::remove_dir_all(&run).unwrap();
    let ended = ranks.wait();
    assert_codes(&ended, 1);
    let [lead, other] = [&ended[0].stderr, &ended[1].stderr];
    assert!(lead.contains("cannot write the checkpoint"), "{lead}");
    assert!(other.contains("rank 0 (process ") && other.contains("cannot write the checkpoint"), "{other}");
}

/// The images of one process alone are damaged, on its disk.
#[test]
fn the_bad_samples_of_all_processes_count_together() {
    let scene = Scene::new();
    let own = scene.run("own");
    fs::create_dir(&own).unwrap();
    for shard in 0..3 {
        let name = format!("train-{shard:03}.tar");
        let mut bytes = fs::read(scene.run(&name)).unwrap();
        for sample in 0..20 {
            if let Some(start) = nth_image(&bytes, sample).filter(|_| shard > 0) {
                bytes[start + 3..start + 64].fill(0);
            }
        }
        fs::write(own.join(&name), bytes).unwrap();
    }
    let more = ["--precision", "f32", "--steps", "50", "--max-bad", "3", "--workers", "1"];
    let damaged = own.join("train-<000..002>.tar");
    let commands = [&*scene.pattern, damaged.to_str().unwrap()];
    let commands = commands.map(|pattern| scene.place.train(pattern, "bad", &more));
    let ended = Ranks::start(commands.into()).wait();
    assert_codes(&ended, 1);
    for ended in &ended {
        assert!(
            ended.stderr.contains("samples are bad, more than 3") && !ended.stderr.contains(" failed"),
            "{ended:?}"
        );
    }
    let listed = crate::support::lines(&scene.run("bad/bad-samples.jsonl"));
    assert!(listed.len() > 3, "the lead lists those of the other process: {listed:?}");
}

/// Returns the byte at which the n-th JPEG of a tar begins.
fn nth_image(tar: &[u8], number: usize) -> Option<usize> {
    let starts = tar.windows(3).enumerate().filter(|(_, bytes)| *bytes == [0xff, 0xd8, 0xff]);
    starts.map(|(start, _)| start).nth(number)
}

#[test]
fn a_run_goes_on_to_the_bit_from_what_the_lead_saved_after_a_loss() {
    let scene = Scene::new();
    let (attempts, steps) = (crate::amount(4, 100), crate::amount(40, 900));
    let length = ["--precision", "f32", "--steps", &steps.to_string(), "--checkpoint-every", "1000"];
    assert_codes(&Ranks::train(&scene.place, 2, &scene.pattern, "whole", &length), 0);
    let whole = tensors(&scene.run("whole"), steps as u64);
    let run = scene.run("again");
    let mut kills = 0;
    for kill in 0..attempts {
        let commands = (0..2).map(|_| scene.place.train(&scene.pattern, "again", &length)).collect();
        let mut ranks = Ranks::start(commands);
        let before = last_step(&run);
        let at = before + 1 + (kill as u64 * 5) % 7;
        if !ranks.until(|_| last_step(&run) >= at) {
            break;
        }
        ranks.signal(1, Signal::KILL);
        let ended = ranks.wait();
        if ended[0].code() == Some(0) {
            break;
        }
        let saved = assert_left(&ended, 1, &run);
        assert!(saved.is_some_and(|saved| saved >= at), "a finished step is lost: {saved:?} of {at}");
        kills += 1;
    }
    println!("{kills} of {attempts} kills, last at step {} of {steps}", last_step(&run));
    assert!(kills >= attempts * 9 / 10, "only {kills} kills: the run is too short");
    assert_codes(&Ranks::train(&scene.place, 2, &scene.pattern, "again", &length), 0);
    assert!(tensors(&run, steps as u64) == whole, "not to the bit");
}
