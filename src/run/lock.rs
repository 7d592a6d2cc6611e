//! The lock on a run folder, which also notes the step under way, so that the next process knows how the last
//! one ended.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek},
    os::unix::fs::FileExt,
    path::Path,
    process,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shards::Position;

use crate::{hint::WithHint, world::host};

const UNWRITABLE: &str = "cannot write to the run folder";

/// A lock on a run folder. The system releases it when the process ends in any way.
///
/// The file has two lines. The first one names the holder and, until that is reported, a process that did not
/// end in order. The second one has the step under way. The file is empty after an orderly end.
#[derive(Debug)]
pub(crate) struct RunLock {
    file: File,
    note: Note,
}

/// The first line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    holder: Holder,
    /// The trace of an earlier process, until it is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left_behind: Option<LeftBehind>,
}

impl RunLock {
    /// Bytes of the first line.
    const FIRST: usize = 1024;
    /// Bytes of the second line.
    const SECOND: usize = 256;

    /// Locks an open file, or returns the process that holds it.
    pub(crate) fn take(mut file: File) -> io::Result<std::result::Result<Self, Holder>> {
        let before = read(&mut file);
        let is_taken = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => false,
            Err(Errno::WOULDBLOCK) => true,
            Err(error) => {
                tracing::warn!(
                    "the run folder cannot be locked ({error}): a process on another machine that trains in it is not noticed"
                );
                before.as_ref().is_some_and(|(note, _)| note.holder.is_alive())
            }
        };
        if is_taken {
            return Ok(Err(before.map_or_else(Holder::unknown, |(note, _)| note.holder)));
        }
        // Read again: another process may have held the lock in between.
        file.rewind()?;
        let left_behind = read(&mut file).map(|(note, under_way)| match note.left_behind {
            // It was killed before it reported the process before it, whose step is kept.
            Some(earlier) if under_way.is_none() => earlier,
            _ => LeftBehind { holder: note.holder, under_way },
        });
        let lock = Self { file, note: Note { holder: Holder::this(), left_behind } };
        lock.write(&lock.note, None)?;
        Ok(Ok(lock))
    }

    /// Returns the trace of a process that was killed or crashed.
    pub(crate) fn left_behind(&self) -> Option<&LeftBehind> {
        self.note.left_behind.as_ref()
    }

    /// Removes the trace of an earlier process from the file, once it is reported. Until then, each later
    /// process finds it.
    pub(crate) fn forget_left_behind(&mut self) -> Result<()> {
        self.note.left_behind = None;
        self.write(&self.note, None).context(UNWRITABLE).with_write_hint()
    }

    /// Notes that a step begins. The page cache keeps the note when this process is killed.
    pub(crate) fn begin(&self, start: StepStart) -> Result<()> {
        let second = second(Some(start));
        self.file.write_all_at(second.as_bytes(), Self::FIRST as u64).context(UNWRITABLE).with_write_hint()
    }

    fn write(&self, note: &Note, under_way: Option<StepStart>) -> io::Result<()> {
        let (first, second) = (json!(note).to_string(), second(under_way));
        let text = format!("{first:<width$}\n{second}", width = Self::FIRST - 1);
        self.file.write_all_at(text.as_bytes(), 0)
    }
}

/// Returns the second line. Its length is fixed, so that it overwrites an earlier one.
fn second(under_way: Option<StepStart>) -> String {
    let text = under_way.map_or_else(String::new, |under_way| json!(under_way).to_string());
    format!("{text:<width$}\n", width = RunLock::SECOND - 1)
}

/// Reads both lines; none after an orderly end.
fn read(file: &mut File) -> Option<(Note, Option<StepStart>)> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    let (first, second) = text.split_once('\n')?;
    Some((serde_json::from_str(first).ok()?, serde_json::from_str(second).ok()))
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // This is an orderly end. A failure to write does no harm: the next process can still take the lock.
        let _ = match self.note.left_behind.take() {
            None => self.file.set_len(0),
            Some(LeftBehind { holder, under_way }) => {
                self.write(&Note { holder, left_behind: None }, under_way)
            }
        };
    }
}

/// The trace of a process that was killed or crashed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LeftBehind {
    /// The process.
    #[serde(flatten)]
    pub(crate) holder: Holder,
    /// The last step that it began, if any.
    pub(crate) under_way: Option<StepStart>,
}

/// The beginning of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepStart {
    /// The number of the step.
    pub(crate) step: u64,
    /// The position before its batch.
    pub(crate) from: Position,
}

/// The process that holds a lock.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    host: String,
    pid: u32,
    start: Timestamp,
}

impl Holder {
    fn this() -> Self {
        Self { host: host(), pid: process::id(), start: Timestamp::now() }
    }

    /// Returns a process of which nothing is known.
    fn unknown() -> Self {
        Self { host: String::new(), pid: 0, start: Timestamp::UNIX_EPOCH }
    }

    /// Reads from the file of a lock, without taking the lock, which process trains or was killed. Returns `None` after
    /// an orderly end, and without a file.
    pub(crate) fn noted(path: &Path) -> Option<Self> {
        Some(read(&mut File::open(path).ok()?)?.0.holder)
    }

    /// Returns when it began to train.
    pub(crate) fn start(&self) -> Timestamp {
        self.start
    }

    /// Returns whether it runs on this machine; `None` if it runs, or ran, on another one.
    pub(crate) fn is_here(&self) -> Option<bool> {
        let is_same = self.host == Self::this().host;
        is_same.then(|| Path::new("/proc").join(self.pid.to_string()).exists())
    }

    /// Returns whether it is another process that runs on this machine.
    fn is_alive(&self) -> bool {
        let here = Self::this();
        self.host == here.host
            && self.pid != here.pid
            && Path::new("/proc").join(self.pid.to_string()).exists()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("another process");
        }
        write!(f, "process {} on `{}` (started {:.0})", self.pid, self.host, self.start)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use super::*;
    use crate::files;

    fn take(path: &Path) -> RunLock {
        RunLock::take(files::edit(path).unwrap()).unwrap().unwrap()
    }

    /// Takes a lock, does `work`, and leaves the file as a killed process does.
    fn killed(path: &Path, work: impl FnOnce(&mut RunLock)) {
        let mut lock = take(path);
        work(&mut lock);
        let left = fs::read(path).unwrap();
        drop(lock);
        fs::write(path, left).unwrap();
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.lock");
        (folder, path)
    }

    fn start(step: u64) -> StepStart {
        StepStart { step, from: Position { epoch: 1, offset: 7 } }
    }

    fn left(lock: &RunLock) -> Option<StepStart> {
        lock.left_behind().unwrap().under_way
    }

    #[test]
    fn a_lock_of_another_machine_does_not_block_and_is_taken_over() {
        let (_folder, path) = place();
        let stale = json!({"host": "elsewhere", "pid": 1, "start": "2026-11-28T01:15:00Z"});
        fs::write(&path, format!("{stale}\n")).unwrap();
        let lock = take(&path);
        assert_eq!(left(&lock), None);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().next().unwrap().contains(&format!("\"pid\":{}", process::id())), "{text}");
        assert_eq!(text.len(), RunLock::FIRST + RunLock::SECOND);
    }

    #[test]
    fn the_step_in_which_a_process_was_killed_is_known_until_it_is_reported() {
        let (_folder, path) = place();
        killed(&path, |lock| (1..=3).for_each(|step| lock.begin(start(step)).unwrap()));
        let third = Some(start(3));
        for _refused_before_it_could_report in 0..2 {
            assert_eq!(left(&take(&path)), third);
        }
        for _killed_before_it_could_report in 0..2 {
            killed(&path, |lock| assert_eq!(left(lock), third));
        }
        let mut lock = take(&path);
        assert_eq!(left(&lock), third);
        lock.forget_left_behind().unwrap();
        drop(lock);
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert!(take(&path).left_behind().is_none());
    }

    #[test]
    fn of_two_killed_processes_the_step_of_the_later_one_is_kept() {
        let (_folder, path) = place();
        killed(&path, |lock| lock.begin(start(3)).unwrap());
        killed(&path, |lock| {
            lock.forget_left_behind().unwrap();
            lock.begin(start(5)).unwrap();
        });
        assert_eq!(left(&take(&path)), Some(start(5)));
    }
}
