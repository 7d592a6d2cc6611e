//! What keeps two processes out of one run folder, and tells the next one how the last one ended.

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
    system::uname,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shards::Position;

use crate::hint::WithHint;

const UNWRITABLE: &str = "cannot write to the run folder";

/// A run folder, held. The system lets go of it when the process ends, however it does.
///
/// The file has two lines: who holds it, with what was left behind by those before, as long as nobody took note of it; and the
/// step under way. It is empty after an orderly end.
#[derive(Debug)]
pub(crate) struct RunLock {
    file: File,
    note: Note,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    #[serde(flatten)]
    holder: Holder,
    /// Of a process before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left_behind: Option<LeftBehind>,
}

impl RunLock {
    /// Bytes of the first line; the second one begins there.
    const FIRST: usize = 1024;
    /// Bytes of the second one.
    const SECOND: usize = 256;

    /// Takes the lock whose file is open, or says who has it.
    pub(crate) fn take(mut file: File) -> io::Result<std::result::Result<Self, Holder>> {
        let before = read(&mut file);
        let is_taken = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => false,
            Err(Errno::WOULDBLOCK) => true,
            Err(error) => {
                tracing::warn!(
                    "the run folder cannot be locked ({error}): only processes of this machine are told apart"
                );
                before.as_ref().is_some_and(|(note, _)| note.holder.is_alive())
            }
        };
        if is_taken {
            return Ok(Err(before.map_or_else(Holder::unknown, |(note, _)| note.holder)));
        }
        // It may have changed hands before it was ours.
        file.rewind()?;
        let left_behind = read(&mut file).map(|(note, under_way)| match note.left_behind {
            // That process was killed before it could take note.
            Some(earlier) if under_way.is_none() => earlier,
            _ => LeftBehind { holder: note.holder, under_way },
        });
        let lock = Self { file, note: Note { holder: Holder::this(), left_behind } };
        lock.write(&lock.note, None)?;
        Ok(Ok(lock))
    }

    /// What a process left here that did not end in order.
    pub(crate) fn left_behind(&self) -> Option<&LeftBehind> {
        self.note.left_behind.as_ref()
    }

    /// What was left behind is known from now on; until then, whoever comes next finds it again.
    pub(crate) fn take_note(&mut self) -> Result<()> {
        self.note.left_behind = None;
        self.write(&self.note, None).context(UNWRITABLE).with_write_hint()
    }

    /// Notes which step begins, for whoever finds out that it did not end. The page cache keeps it when this process is killed.
    pub(crate) fn begin(&self, step: u64, from: Position) -> Result<()> {
        let second = second(Some(UnderWay { step, from }));
        self.file.write_all_at(second.as_bytes(), Self::FIRST as u64).context(UNWRITABLE).with_write_hint()
    }

    fn write(&self, note: &Note, under_way: Option<UnderWay>) -> io::Result<()> {
        let (first, second) = (json!(note).to_string(), second(under_way));
        let text = format!("{first:<width$}\n{second}", width = Self::FIRST - 1);
        self.file.write_all_at(text.as_bytes(), 0)
    }
}

/// The second line; always as long, so that nothing of an earlier one is left.
fn second(under_way: Option<UnderWay>) -> String {
    let text = under_way.map_or_else(String::new, |under_way| json!(under_way).to_string());
    format!("{text:<width$}\n", width = RunLock::SECOND - 1)
}

/// Both lines, if somebody holds the lock, or did when it ended.
fn read(file: &mut File) -> Option<(Note, Option<UnderWay>)> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    let (first, second) = text.split_once('\n')?;
    Some((serde_json::from_str(first).ok()?, serde_json::from_str(second).ok()))
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // In an orderly end only. What cannot be written explains nothing to the next one, and keeps nobody out.
        let _ = match self.note.left_behind.take() {
            None => self.file.set_len(0),
            Some(LeftBehind { holder, under_way }) => {
                self.write(&Note { holder, left_behind: None }, under_way)
            }
        };
    }
}

/// What is found in the lock of a process that did not end in order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LeftBehind {
    /// The process.
    #[serde(flatten)]
    pub(crate) holder: Holder,
    /// The step that it began last, if it came to one.
    pub(crate) under_way: Option<UnderWay>,
}

/// A step that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnderWay {
    /// Its number.
    pub(crate) step: u64,
    /// Where the samples stand before its batch.
    pub(crate) from: Position,
}

/// Who holds a run folder, for those who find it locked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    host: String,
    pid: u32,
    start: Timestamp,
}

impl Holder {
    fn this() -> Self {
        let host = uname().nodename().to_string_lossy().into_owned();
        Self { host, pid: process::id(), start: Timestamp::now() }
    }

    /// Of whom the file does not tell.
    fn unknown() -> Self {
        Self { host: String::new(), pid: 0, start: Timestamp::UNIX_EPOCH }
    }

    /// Whether it runs, on this machine.
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
        write!(f, "process {} on `{}`, since {:.0},", self.pid, self.host, self.start)
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

    /// A lock, and the file that it leaves when its process is killed after `work`.
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

    const FROM: Position = Position { epoch: 1, offset: 7 };

    fn left(lock: &RunLock) -> Option<UnderWay> {
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
    fn the_step_in_which_a_process_was_killed_is_known_until_somebody_takes_note() {
        let (_folder, path) = place();
        killed(&path, |lock| (1..=3).for_each(|step| lock.begin(step, FROM).unwrap()));
        let third = Some(UnderWay { step: 3, from: FROM });
        for _refused_before_it_could_tell in 0..2 {
            assert_eq!(left(&take(&path)), third);
        }
        for _killed_before_it_could_tell in 0..2 {
            killed(&path, |lock| assert_eq!(left(lock), third));
        }
        let mut lock = take(&path);
        assert_eq!(left(&lock), third);
        lock.take_note().unwrap();
        drop(lock);
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert!(take(&path).left_behind().is_none());
    }

    #[test]
    fn a_later_step_counts_more_than_an_earlier_one() {
        let (_folder, path) = place();
        killed(&path, |lock| lock.begin(3, FROM).unwrap());
        killed(&path, |lock| {
            lock.take_note().unwrap();
            lock.begin(5, FROM).unwrap();
        });
        assert_eq!(left(&take(&path)), Some(UnderWay { step: 5, from: FROM }));
    }
}
