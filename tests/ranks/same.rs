//! The number of processes changes nothing but rounding.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    group::{Ranks, assert_codes, records},
    support::{Place, json, program, succeed},
};

/// Returns the losses of training, and the numbers of validations.
fn numbers(run: &Path) -> Vec<(u64, String, f64)> {
    let named = |record: &Value| {
        let step = record["step"].as_u64().unwrap();
        ["loss", "mlp_loss", "linear_loss", "penalty", "knn", "cosine", "rankme"]
            .into_iter()
            .filter_map(|name| Some((step, name.to_owned(), record[name].as_f64()?)))
            .collect::<Vec<_>>()
    };
    records(run).iter().flat_map(named).collect()
}

/// Panics unless both runs have the same numbers up to the rounding of f32 that grows over the steps.
#[track_caller]
fn assert_alike(run: &Path, expected: &Path, tolerance: f64) {
    let (found, expected) = (numbers(run), numbers(expected));
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((step, name, value), (other_step, other_name, other)) in found.iter().zip(&expected) {
        assert_eq!((step, name), (other_step, other_name));
        let off = (value - other).abs() / other.abs().max(1.0);
        assert!(off < tolerance, "{name} of step {step}: {value}, but {other} in one process");
    }
}

fn accuracy(place: &Place, out: &str, pattern: &str) -> f64 {
    let mut command = program();
    command.args(["eval", "knn", "--checkpoint"]).arg(place.path(out));
    command.args(["--shards", pattern, "--val-shards", pattern, "--device", "cpu"]);
    command.env("AMDIM_STREAM_CACHE", place.path("cache"));
    let said = succeed(&mut command);
    let line: Value = serde_json::from_str(said.stdout.lines().next().unwrap()).unwrap();
    line["report"]["top1"].as_f64().unwrap()
}

#[test]
fn a_run_has_the_same_losses_and_validations_in_one_two_and_four_processes() {
    let place = Place::new();
    let pattern = place.shards("train", 4, 40);
    let validation = place.shards("val", 2, 41);
    let more = ["--precision", "f32", "--steps", "50", "--val-shards", &validation, "--knn-every", "2"];
    assert_codes(&Ranks::train(&place, 1, &pattern, "one", &more), 0);
    let expected = accuracy(&place, "one", &pattern);
    for size in [2, 4] {
        let out = format!("of-{size}");
        let ended = Ranks::train(&place, size, &pattern, &out, &more);
        assert_codes(&ended, 0);
        assert!(ended[0].stderr.contains(&format!("rank 0 of {size} by RANK and WORLD_SIZE")), "{ended:?}");
        assert!(ended[1..].iter().all(|ended| ended.stderr.is_empty()), "{ended:?}");
        assert_alike(&place.path(&out), &place.path("one"), 1e-4);
        let found = accuracy(&place, &out, &pattern);
        assert!((found - expected).abs() <= 0.02, "{found}, but {expected} in one process");
    }
}

#[test]
fn a_run_goes_on_in_another_number_of_processes() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let train = |size: usize, out: &str, steps: &str| {
        let more = ["--precision", "f32", "--steps", steps, "--extend", "--schedule", "constant"];
        assert_codes(&Ranks::train(&place, size, &pattern, out, &more), 0);
    };
    train(1, "one", "4");
    train(1, "one", "8");
    train(1, "one", "12");
    for (size, steps) in [(4, "4"), (1, "8"), (2, "12")] {
        train(size, "some", steps);
    }
    assert_alike(&place.path("some"), &place.path("one"), 1e-4);
    let state = |run: &str| json(&place.path(run).join("checkpoints/step-00000012/state.json"));
    let [one, some] = ["one", "some"].map(|run| state(run)["content"]["state"].clone());
    for name in ["step", "position", "data"] {
        assert_eq!(one[name], some[name], "{name}");
    }
}

/// Returns whether a process has a TCP socket.
fn has_tcp_socket(id: u32) -> bool {
    let table = |name: &str| fs::read_to_string(format!("/proc/{id}/net/{name}")).unwrap_or_default();
    let tables = table("tcp") + &table("tcp6");
    let inodes: Vec<_> = tables.lines().filter_map(|line| line.split_whitespace().nth(9)).collect();
    let files = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    let links = files.filter_map(|file| fs::read_link(file.path()).ok());
    links.filter_map(|link| link.to_str().map(str::to_owned)).any(|link| {
        let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inode.is_some_and(|inode| inodes.contains(&inode))
    })
}

#[test]
fn one_process_opens_no_socket_and_several_do() {
    let place = Place::new();
    let pattern = place.shards("train", 2, 20);
    for (size, alone) in [(1, false), (2, false), (2, true)] {
        let out = format!("run-{size}-{alone}");
        let mut more = vec!["--precision", "f32", "--steps", "100000"];
        more.extend(if alone { &["--world", "1"][..] } else { &[] });
        let size_of_world = if alone { 1 } else { size };
        let commands = (0..size_of_world).map(|_| place.train(&pattern, &out, &more)).collect::<Vec<_>>();
        let mut ranks = if alone { started_as_first_of_two(commands) } else { Ranks::start(commands) };
        assert!(ranks.until(|_| crate::group::last_step(&place.path(&out)) > 2), "{}", ranks.all_said());
        assert_eq!(has_tcp_socket(ranks.id(0)), size > 1 && !alone, "{}", ranks.all_said());
    }
}

/// Starts one process with the variables of rank 0 of two.
fn started_as_first_of_two(mut commands: Vec<std::process::Command>) -> Ranks {
    crate::group::place_among(&mut commands[0], 0, 2, crate::group::free_port());
    Ranks::spawn(commands)
}
