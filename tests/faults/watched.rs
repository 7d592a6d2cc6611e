//! Child processes that are not waited for without end.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;

use crate::amount;

/// No child here has work for so long, however slow the machine: one that is still there hangs.
fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(amount(900, 3_600) as u64)
}

/// A child whose outliving of its deadline fails the test; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Watched {
    child: Child,
    deadline: Instant,
    stderr: NamedTempFile,
}

/// How a child ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

impl Watched {
    pub(crate) fn start(command: &mut Command) -> Self {
        // A file rather than a pipe, which would have to be emptied.
        let stderr = NamedTempFile::new().unwrap();
        let to = File::options().append(true).open(stderr.path()).unwrap();
        let child = command.stdout(Stdio::null()).stderr(to).spawn().unwrap();
        Self { child, deadline: deadline(), stderr }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, by itself or otherwise.
    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = self.child.try_wait().unwrap().is_some();
        let said = || fs::read_to_string(self.stderr.path()).unwrap_or_default();
        assert!(ended || Instant::now() < self.deadline, "a child hangs; it said:\n{}", said());
        ended
    }

    /// Waits until `holds` or the child has ended; whether it holds.
    pub(crate) fn until(&mut self, mut holds: impl FnMut() -> bool) -> bool {
        loop {
            if holds() {
                return true;
            }
            if self.has_ended() {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ended {
        self.until(|| false);
        let status = self.child.wait().unwrap();
        Ended { status, stderr: fs::read_to_string(self.stderr.path()).unwrap() }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Ended {
    pub(crate) fn of(command: &mut Command) -> Self {
        Watched::start(command).wait()
    }

    /// It did all it was asked to.
    #[track_caller]
    pub(crate) fn assert_done(&self) {
        assert_eq!(self.status.code(), Some(0), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }

    /// It gave up in good order: exit code 1 or 2, a message that says why, and one that says what to do.
    #[track_caller]
    pub(crate) fn assert_refused(&self) {
        assert!(matches!(self.status.code(), Some(1 | 2)), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let message = self.stderr.split("ERROR").nth(1).unwrap_or_default();
        assert!(message.contains("hint: "), "no hint in {message:?}, of {}", self.stderr);
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// The step that a run said it begins at, if it came to say so.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.stderr.split(", step ").nth(1)?.split(' ').next()?.parse().ok()
    }
}

/// The steps whose checkpoints are complete by their name, and the number of those that are half-written.
pub(crate) fn checkpoints(run: &Path) -> (Vec<u64>, usize) {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let mut steps: Vec<u64> =
        names.iter().filter_map(|name| name.strip_prefix("step-")?.parse().ok()).collect();
    steps.sort_unstable();
    (steps, names.iter().filter(|name| name.starts_with(".partial-")).count())
}

/// The last step in the records of a run; 0 before there are any.
pub(crate) fn last_step(run: &Path) -> u64 {
    let last = || {
        let mut file = File::open(run.join("metrics.jsonl")).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(4096))).ok()?;
        let mut end = Vec::new();
        file.read_to_end(&mut end).ok()?;
        let end = String::from_utf8_lossy(&end).into_owned();
        let step = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["step"].as_u64();
        end.lines().rev().find_map(step)
    };
    last().unwrap_or(0)
}

/// The steps in the records of a run and their losses, in the order of the lines.
pub(crate) fn losses(run: &Path) -> Vec<(u64, f64)> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let loss = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        Some((line["step"].as_u64()?, line["loss"].as_f64()?))
    };
    text.lines().filter_map(loss).collect()
}
