//! Several processes of the program, which find each other on loopback.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU16, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::support::Place;

/// No test here has work for so long, however slow the machine: a process that still runs hangs.
const DEADLINE: Duration = Duration::from_secs(600);

/// Processes that train together. Those that still run when this is dropped are killed.
#[derive(Debug)]
pub(crate) struct Ranks {
    children: Vec<Child>,
    logs: Vec<NamedTempFile>,
    started: Instant,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }
}

/// Returns a port of loopback that no one uses now. It is none of those that the system gives to whoever asks for any
/// port, and no other test of this program gets it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + std::process::id() % 200 * 64;
    loop {
        let port = first as u16 + NEXT.fetch_add(1, Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Lets `command` find the others as rank `rank` of `size`.
pub(crate) fn place_among(command: &mut Command, rank: usize, size: usize, port: u16) {
    command.env("RANK", rank.to_string()).env("WORLD_SIZE", size.to_string());
    command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
    command.env("OMP_NUM_THREADS", "1");
}

impl Ranks {
    /// Starts a process for each command.
    pub(crate) fn start(mut commands: Vec<Command>) -> Self {
        let (port, size) = (free_port(), commands.len());
        for (rank, command) in commands.iter_mut().enumerate() {
            place_among(command, rank, size, port);
        }
        Self::spawn(commands)
    }

    /// Starts processes as they are.
    pub(crate) fn spawn(commands: Vec<Command>) -> Self {
        let mut this = Self { children: Vec::new(), logs: Vec::new(), started: Instant::now() };
        for mut command in commands {
            let log = NamedTempFile::new().unwrap();
            let stderr = File::options().append(true).open(log.path()).unwrap();
            this.children.push(command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap());
            this.logs.push(log);
        }
        this
    }

    /// Trains with `size` processes until they end.
    pub(crate) fn train(place: &Place, size: usize, pattern: &str, out: &str, more: &[&str]) -> Vec<Ended> {
        Self::start((0..size).map(|_| place.train(pattern, out, more)).collect()).wait()
    }

    pub(crate) fn id(&self, rank: usize) -> u32 {
        self.children[rank].id()
    }

    pub(crate) fn said(&self, rank: usize) -> String {
        fs::read_to_string(self.logs[rank].path()).unwrap()
    }

    /// Returns the text of all processes, for messages of tests.
    pub(crate) fn all_said(&self) -> String {
        let of_rank = |rank| format!("rank {rank}:\n{}", self.said(rank));
        (0..self.logs.len()).map(of_rank).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn signal(&self, rank: usize, signal: Signal) {
        let id = Pid::from_raw(self.id(rank).cast_signed()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Returns whether a process has ended.
    pub(crate) fn has_ended(&mut self, rank: usize) -> bool {
        self.children[rank].try_wait().unwrap().is_some()
    }

    /// Waits until `holds`. Returns false if all processes have ended before.
    pub(crate) fn until(&mut self, mut holds: impl FnMut(&Self) -> bool) -> bool {
        loop {
            if holds(self) {
                return true;
            }
            if (0..self.children.len()).all(|rank| self.has_ended(rank)) {
                return false;
            }
            assert!(self.started.elapsed() < DEADLINE, "processes hang\n{}", self.all_said());
            thread::sleep(Duration::from_millis(3));
        }
    }

    /// Waits until all processes but `except` have ended. Returns how long that took.
    pub(crate) fn wait_but_for(&mut self, except: usize) -> Duration {
        let start = Instant::now();
        let others: Vec<_> = (0..self.children.len()).filter(|&rank| rank != except).collect();
        while !others.iter().all(|&rank| self.has_ended(rank)) {
            assert!(self.started.elapsed() < DEADLINE, "processes hang\n{}", self.all_said());
            thread::sleep(Duration::from_millis(3));
        }
        start.elapsed()
    }

    /// Waits until all have ended.
    pub(crate) fn wait(mut self) -> Vec<Ended> {
        self.until(|_| false);
        let logs: Vec<_> = (0..self.logs.len()).map(|rank| self.said(rank)).collect();
        let ended = |(child, stderr): (&mut Child, String)| Ended { status: child.wait().unwrap(), stderr };
        self.children.iter_mut().zip(logs).map(ended).collect()
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Panics unless all processes ended with this code.
#[track_caller]
pub(crate) fn assert_codes(ended: &[Ended], code: i32) {
    for (rank, ended) in ended.iter().enumerate() {
        assert_eq!(ended.code(), Some(code), "rank {rank}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "rank {rank}: {}", ended.stderr);
    }
}

/// Returns the records of a run.
pub(crate) fn records(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Returns the last step that a run has recorded.
pub(crate) fn last_step(run: &Path) -> u64 {
    records(run).iter().filter_map(|record| record["step"].as_u64()).max().unwrap_or(0)
}

/// Returns the steps of the checkpoints of a run.
pub(crate) fn checkpoints(run: &Path) -> Vec<u64> {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut steps: Vec<u64> = names.filter_map(|name| name.strip_prefix("step-")?.parse().ok()).collect();
    steps.sort_unstable();
    steps
}
