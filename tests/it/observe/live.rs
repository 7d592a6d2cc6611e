//! The page of `--listen` in a browser.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http::address;
use crate::support::{Place, lines};

/// A browser that follows a run.
struct Browser {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Browser {
    #[expect(clippy::print_stderr, reason = "the only word of a test that is left out")]
    fn open(address: &str, run: &Path) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let node = root.join(".browser");
        if !node.exists() {
            eprintln!("skipped: no browser; `tools/browser.sh` says why and installs one where it can");
            return None;
        }
        let mut command = Command::new(node);
        command.arg(root.join("tests/it/observe/live.mjs")).arg(format!("http://{address}/"));
        command.arg(run.join("metrics.jsonl"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Some(Self { child, lines })
    }

    /// Returns what the page shows now. What it showed before is in the pipe.
    fn look(&mut self) -> Value {
        let line = self.lines.next().expect("the browser goes on").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Waits until the page shows what is wanted.
    fn wait(&mut self, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let seen = self.look();
            if is_wanted(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "no {what}: {seen}");
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                drop(self.child.kill());
            }
            drop(self.lines.next());
        }
    }
}

fn step(seen: &Value) -> u64 {
    seen["step"].as_u64().unwrap()
}

#[test]
fn the_page_follows_a_run_through_a_kill_to_its_end_without_being_loaded_again() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let run = place.path("run");
    let start = |listen: &str| -> Child {
        let more = ["--precision", "f32", "--steps", "100000", "--checkpoint-every", "5", "--listen", listen];
        place.train(&pattern, "run", &more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut child = start("0");
    let address = address(&run, &mut child);
    let Some(mut browser) = Browser::open(&address, &run) else {
        child.kill().unwrap();
        child.wait().unwrap();
        return;
    };
    let seen = browser.wait("running", |seen| seen["state"] == "running" && step(seen) > 3);
    let first = step(&seen);
    let seen = browser.wait("new curves", |seen| {
        seen["steps"].as_array().unwrap().last().and_then(Value::as_u64).is_some_and(|last| last > first)
    });
    assert_eq!(seen["messages"], Value::from(Vec::<String>::new()));

    child.kill().unwrap();
    child.wait().unwrap();
    browser.wait("word of the lost connection", |seen| seen["state"] == "not reached");
    let mut child = start(&address);
    let seen = browser.wait("running again", |seen| seen["state"] == "running");
    let resumed = step(&seen);
    let seen = browser.wait("curves of the resumed run", |seen| {
        seen["steps"].as_array().unwrap().last().and_then(Value::as_u64).is_some_and(|last| last > resumed)
    });
    let steps: Vec<_> = seen["steps"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert!(steps.is_sorted_by(|a, b| a < b), "each step once: {steps:?}");

    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    browser.wait("the end", |seen| seen["state"] == "ended");
    // What was being loaded then has come.
    let seen = (0..30).map(|_| browser.look()).last().unwrap();
    assert_eq!(seen["state"], "ended");
    let records = lines(&run.join("metrics.jsonl"));
    let last = records.iter().rev().find(|record| record["kind"] == "train").unwrap();
    assert_eq!(last["step"], step(&seen), "the last step is shown");
    assert_eq!(seen["steps"].as_array().unwrap().last(), Some(&last["step"]), "and it is on the curves");
    assert_eq!(seen["isFirst"], true, "nobody has loaded the page again");
    let asked: Vec<_> = seen["requests"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(
        asked.iter().all(|path| ["/", "/live", "/numbers.html", "/favicon.ico"].contains(path)),
        "{asked:?}"
    );
}

/// A record takes about a second: how long the page takes for one is not to be measured, only that it does not fall behind.
#[test]
fn the_page_is_never_more_than_two_records_behind_the_file() {
    let place = Place::new();
    let pattern = place.shards("train", 3, 20);
    let run = place.path("run");
    let more = ["--precision", "f32", "--steps", "100000", "--listen", "0"];
    let mut command = place.train_recording(100, &pattern, "run", &more);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let address = address(&run, &mut child);
    if let Some(mut browser) = Browser::open(&address, &run) {
        browser.wait("first step", |seen| step(seen) > 0);
        let records = if super::is_long() { 40 } else { 10 };
        let deadline = Instant::now() + Duration::from_secs(600);
        let mut shown = BTreeSet::new();
        while shown.len() < records {
            let seen = browser.look();
            assert!(seen["behind"].as_u64().unwrap() <= 2 && seen["state"] == "running", "{seen}");
            shown.insert(step(&seen));
            assert!(Instant::now() < deadline, "steps {shown:?}");
        }
        assert!(shown.iter().all(|step| step.is_multiple_of(100)), "{shown:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
