//! Runs that torchrun starts, on one machine and on two.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    group::{Ranks, assert_codes, checkpoints, free_port, last_step},
    support::{Place, json, lines, tensors},
};

/// Returns torchrun with `options`, which starts what `train` starts.
fn torchrun(options: &[&str], train: &Command) -> Command {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".python");
    assert!(python.exists(), "no `.python`: `make test` sets it up once, and so does tools/python.sh");
    let mut command = Command::new(python);
    command.args(["-m", "torch.distributed.run", "--no-python"]).args(options);
    command.arg(train.get_program()).args(train.get_args());
    for (name, value) in train.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Returns the processes that a process has started.
fn children(id: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    text.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// Returns the value of a variable in the environment of a process.
fn variable(id: u32, name: &str) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{id}/environ")).ok()?;
    let mut entries = environment.split(|&byte| byte == 0).map(String::from_utf8_lossy);
    entries.find_map(|entry| Some(entry.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// Returns the process with a rank among those that torchrun has started.
fn process_of_rank(torchrun: u32, rank: usize) -> Option<u32> {
    children(torchrun).into_iter().find(|&id| variable(id, "RANK") == Some(rank.to_string()))
}

fn signal(id: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal);
}

/// Options of torchrun for two processes on this machine.
fn two(port: &str) -> [&str; 6] {
    ["--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", port]
}

#[test]
fn torchrun_starts_a_run_and_all_orderly_ends_are_zero() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let summary = place.path("summary.json");
    let summary = summary.to_str().unwrap();
    for (steps, more, ended, code) in [
        ("3", &[][..], "done", 0),
        ("3", &["--if-changed", "--exit-code-unchanged"], "unchanged", 3),
        ("100000", &["--extend", "--max-hours", "0.001"], "interrupted", 130),
    ] {
        let port = free_port().to_string();
        let more = [&["--precision", "f32", "--steps", steps, "--summary", summary], more].concat();
        let restarts = [&two(&port)[..], &["--max-restarts", "3"]].concat();
        let start = Instant::now();
        let said = Ranks::spawn(vec![torchrun(&restarts, &place.train(&pattern, "run", &more))]).wait();
        assert_codes(&said, 0);
        let found = json(Path::new(summary));
        assert_eq!((found["ended"].as_str(), found["exit_code"].as_i64()), (Some(ended), Some(code)));
        assert!(said[0].stderr.contains("rank 0 of 2 by torchrun"), "{said:?}");
        // One start, however much time is left: torchrun would start a failed run three more times.
        assert_eq!(
            said[0].stderr.matches("rank 0 of 2 by torchrun").count(),
            1,
            "{:?}\n{said:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_process_that_is_killed_is_started_again_by_torchrun_and_the_run_ends_with_the_same_bits() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let length = ["--precision", "f32", "--steps", "30", "--checkpoint-every", "1000"];
    assert_codes(&Ranks::train(&place, 2, &pattern, "whole", &length), 0);
    let (port, run) = (free_port().to_string(), place.path("killed"));
    let restarts = [&two(&port)[..], &["--max-restarts", "6"]].concat();
    let mut ranks = Ranks::spawn(vec![torchrun(&restarts, &place.train(&pattern, "killed", &length))]);
    let torchrun = ranks.id(0);
    for (rank, step) in [(1, 4), (0, 12)] {
        let mut killed = None;
        ranks.until(|_| {
            if last_step(&run) >= step {
                killed = process_of_rank(torchrun, rank);
            }
            killed.is_some()
        });
        let killed = killed.unwrap_or_else(|| panic!("{}", ranks.all_said()));
        signal(killed, Signal::KILL);
        ranks.until(|_| process_of_rank(torchrun, rank).is_some_and(|id| id != killed));
    }
    let said = ranks.wait();
    assert_codes(&said, 0);
    assert!(said[0].stderr.contains("by torchrun, restart 2"), "{said:?}");
    assert!(said[0].stderr.contains("rank 1 (process "), "{said:?}");
    assert!(tensors(&run, 30) == tensors(&place.path("whole"), 30), "not to the bit");
    let steps: Vec<_> =
        lines(&run.join("metrics.jsonl")).iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert!(steps.is_sorted(), "{steps:?}");
}

#[test]
fn torchrun_prints_the_error_of_a_run() {
    let place = Place::new();
    let pattern = place.shards("train", 1, 20);
    let port = free_port().to_string();
    let said =
        Ranks::spawn(vec![torchrun(&two(&port), &place.train(&pattern, "run", &["--bn-groups", "5"]))])
            .wait();
    assert_eq!(said[0].code(), Some(1), "{said:?}");
    let summary = said[0].stderr.split("Root Cause").nth(1).unwrap_or_default();
    assert!(summary.contains("set --bn-groups to one of"), "{said:?}");
}

#[test]
fn sigterm_to_torchrun_saves_once_and_starts_nothing_again() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let (port, run) = (free_port().to_string(), place.path("run"));
    let restarts = [&two(&port)[..], &["--max-restarts", "3"]].concat();
    let mut ranks = Ranks::spawn(vec![torchrun(
        &restarts,
        &place.train(&pattern, "run", &["--precision", "f32", "--steps", "100000"]),
    )]);
    assert!(ranks.until(|_| last_step(&run) >= 3), "{}", ranks.all_said());
    ranks.signal(0, Signal::TERM);
    let said = ranks.wait();
    assert_eq!(said[0].stderr.matches("saved, step ").count(), 1, "{said:?}");
    assert_eq!(said[0].stderr.matches("rank 0 of 2 by torchrun").count(), 1, "{said:?}");
    assert_eq!(checkpoints(&run).len(), 1);
}

#[test]
fn two_nodes_train_as_one() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let length = ["--precision", "f32", "--steps", "5"];
    assert_codes(&Ranks::train(&place, 1, &pattern, "one", &length), 0);
    let port = free_port().to_string();
    let node = |number: &'static str| {
        let options =
            ["--nnodes", "2", "--node-rank", number, "--nproc-per-node", "1", "--master-addr", "127.0.0.1"];
        let options = [&options[..], &["--master-port", &port]].concat();
        let mut command = torchrun(&options, &place.train(&pattern, "two", &length));
        if number == "1" {
            command.env("AMDIM_STREAM_CACHE", place.path("cache-of-the-other-node"));
        }
        command
    };
    let said = Ranks::spawn(vec![node("0"), node("1")]).wait();
    assert_codes(&said, 0);
    let losses = |run: &str| -> Vec<f64> {
        lines(&place.path(run).join("metrics.jsonl"))
            .iter()
            .filter_map(|line| line["loss"].as_f64())
            .collect()
    };
    let (one, two) = (losses("one"), losses("two"));
    assert_eq!(one.len(), 5);
    assert!(one.iter().zip(&two).all(|(one, two)| (one - two).abs() < 1e-4), "{one:?} {two:?}");
}

/// Starts a process as a task of a Slurm step, in an environment that also has the variables of the allocation.
fn task(train: &mut Command, rank: usize, port: u16) -> Child {
    let rank = rank.to_string();
    for (name, value) in [
        ("SLURM_JOB_ID", "7"),
        ("SLURM_NTASKS", "8"),
        ("SLURM_STEP_NUM_TASKS", "2"),
        ("SLURM_STEP_TASKS_PER_NODE", "1(x2)"),
        ("SLURM_NODEID", &rank),
        ("SLURM_PROCID", &rank),
        ("SLURM_LOCALID", "0"),
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", &port.to_string()),
        ("OMP_NUM_THREADS", "1"),
    ] {
        train.env(name, value);
    }
    train.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn tasks_of_a_slurm_step_find_each_other() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let port = free_port();
    let start =
        |rank| task(&mut place.train(&pattern, "run", &["--precision", "f32", "--steps", "3"]), rank, port);
    let mut tasks = [0, 1].map(start);
    let deadline = Instant::now() + Duration::from_secs(600);
    while tasks.iter_mut().any(|task| task.try_wait().unwrap().is_none()) {
        assert!(Instant::now() < deadline, "the tasks hang");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(tasks.iter_mut().all(|task| task.wait().unwrap().success()));
    assert_eq!(checkpoints(&place.path("run")), [3]);
}
