//! A run's folder and the files in it.

use std::{
    fs::{self, File},
    io::{Read, Seek, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
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
use serde_json::{Value, json};
use shards::Position;

use super::manifest::Manifest;
use crate::{
    checkpoint::Checkpoints,
    config::DataConfig,
    exit::{Code, Coded},
    files, metrics, usage,
};

/// Where a run keeps what it makes.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The folder itself.
    pub path: PathBuf,
    /// The resolved configuration.
    pub(super) config: PathBuf,
    /// What the run was made of, and how far it came.
    pub(super) manifest: PathBuf,
    /// One record a line.
    pub(super) metrics: PathBuf,
    /// One unusable sample a line.
    pub(super) bad_samples: PathBuf,
    /// What there is to say of a step that failed.
    pub(super) crash: PathBuf,
    /// Its checkpoints.
    pub checkpoints: Checkpoints,
}

impl RunFolder {
    /// The folder, in a run folder, of the run before.
    const PREVIOUS: &str = "previous";
    /// While it is being filled.
    const BECOMING_PREVIOUS: &str = "previous.partial";
    const CHECKPOINTS: &str = "checkpoints";

    /// Names the files of a run folder, which need not exist.
    pub fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            config: path.join("config.toml"),
            manifest: path.join("manifest.json"),
            metrics: path.join("metrics.jsonl"),
            bad_samples: path.join("bad-samples.jsonl"),
            crash: path.join("crash"),
            checkpoints: Checkpoints::of(path),
        }
    }

    /// The run before this one, set aside when its shards had changed.
    pub(super) fn previous(&self) -> Self {
        Self::of(&self.path.join(Self::PREVIOUS))
    }

    /// Creates the folder where there is none, and takes it for this process until the lock is dropped.
    ///
    /// # Errors
    ///
    /// With [`Code::Locked`] where another process has it; where it cannot be written to.
    pub(super) fn take(&self) -> Result<RunLock> {
        let path = self.path.display();
        let unwritable = |error: std::io::Error| {
            let message = format!(
                "cannot write to the run folder `{path}`: {error}\n  hint: name another one with --out"
            );
            Coded::io(&error, message)
        };
        let file = fs::create_dir_all(&self.path).and_then(|()| files::edit(&self.path.join("run.lock")));
        let mut file = file.map_err(unwritable)?;
        let before = LeftBehind::read(&mut file);
        let is_taken = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => false,
            Err(Errno::WOULDBLOCK) => true,
            Err(error) => {
                tracing::warn!(
                    "`{path}` cannot be locked ({error}): only processes of this machine are told apart"
                );
                before.as_ref().is_some_and(|before| before.holder.is_alive())
            }
        };
        if is_taken {
            let whom =
                before.map_or_else(|| "another process".to_owned(), |before| before.holder.to_string());
            return Err(Coded::error(
                Code::Locked,
                format!(
                    "{whom} is training in `{path}`\n  hint: wait for it, or name another folder with --out"
                ),
            ));
        }
        // It may have changed hands before it was ours.
        file.rewind().map_err(unwritable)?;
        let mut lock = RunLock { left_behind: LeftBehind::read(&mut file), file };
        write(&mut lock.file, &Holder::this()).map_err(unwritable)?;
        self.refuse_links()?;
        Ok(lock)
    }

    /// The same of a folder in which there was no run: there must be none yet.
    pub(super) fn take_new(&self) -> Result<RunLock> {
        let taken = self.take()?;
        if self.checkpoints.last_step().is_some() {
            let path = self.path.display();
            let message = format!(
                "another process has begun to train in `{path}`\n  hint: the same command again goes on there"
            );
            return Err(Coded::error(Code::Locked, message));
        }
        Ok(taken)
    }

    /// Folders that are written into have to lie here.
    fn refuse_links(&self) -> Result<()> {
        for name in [Self::CHECKPOINTS, "crash", Self::PREVIOUS, Self::BECOMING_PREVIOUS] {
            let path = self.path.join(name);
            if path.is_symlink() {
                return Err(usage!(
                    "`{}` is a link, which is not followed out of the run folder\n  hint: put the folder in its place, or let \
                     --out name the folder where all of the run is to lie",
                    path.display()
                ));
            }
        }
        Ok(())
    }

    /// Makes way for a run on other shards: what lies here becomes the previous run, in place of the one before it.
    ///
    /// The checkpoints go last, so that the run is either here or there for whoever comes after a crash in between, who
    /// calls [`finish_setting_aside`](Self::finish_setting_aside) first.
    pub(super) fn set_aside(&self) -> Result<()> {
        let set_aside = || -> Result<()> {
            let aside = self.path.join(Self::BECOMING_PREVIOUS);
            fs::create_dir_all(&aside)?;
            for file in [&self.config, &self.manifest, &self.metrics, &self.bad_samples, &self.crash] {
                if file.exists() {
                    let name = file.file_name().context("files of a run have names")?;
                    fs::rename(file, aside.join(name))?;
                }
            }
            fs::rename(self.path.join(Self::CHECKPOINTS), aside.join(Self::CHECKPOINTS))?;
            self.finish_setting_aside()
        };
        set_aside().with_context(|| format!("cannot set aside the run in `{}`", self.path.display()))
    }

    /// Does the rest of what a process that was killed in [`set_aside`](Self::set_aside) did not come to.
    pub(super) fn finish_setting_aside(&self) -> Result<()> {
        let (aside, previous) = (self.path.join(Self::BECOMING_PREVIOUS), self.path.join(Self::PREVIOUS));
        if !aside.exists() {
            return Ok(());
        }
        let finish = || -> Result<()> {
            if !aside.join(Self::CHECKPOINTS).exists() {
                // The run is here still, and whole again when it has its files back.
                return self.take_back(&aside);
            }
            if previous.exists() {
                fs::remove_dir_all(&previous)?;
            }
            fs::rename(&aside, &previous)?;
            Ok(files::sync_folder(&previous)?)
        };
        finish().with_context(|| format!("cannot put the run before into `{}`", previous.display()))
    }

    /// Moves files of this run back into its folder.
    fn take_back(&self, aside: &Path) -> Result<()> {
        for entry in fs::read_dir(aside)? {
            let name = entry?.file_name();
            if !self.path.join(&name).exists() {
                fs::rename(aside.join(&name), self.path.join(&name))?;
            }
        }
        Ok(fs::remove_dir_all(aside)?)
    }

    /// How the training shards differ from those that the run saw, in words; none where they do not, or nobody knows.
    pub fn changes(&self, data: &DataConfig) -> Result<Option<String>> {
        let manifest = Manifest::read(&self.manifest)?;
        manifest.map_or(Ok(None), |manifest| manifest.changes_of_training(data))
    }

    /// Where the run stands, by its files: step, steps, and the last numbers.
    pub fn standing(&self) -> Value {
        let lines = metrics::read_lines(&self.metrics).unwrap_or_default();
        let last = |kind: &str| lines.iter().rev().find(|line| line["kind"] == kind).cloned();
        let manifest = Manifest::read(&self.manifest).ok().flatten();
        json!({
            "run": self.path,
            "finished": manifest.as_ref().is_some_and(|manifest| manifest.finished.is_some()),
            "step": self.checkpoints.last_step(),
            "steps": manifest.as_ref().map(|manifest| manifest.steps),
            "train": last("train"),
            "validation": last("validation"),
            "promotion": manifest.and_then(|manifest| manifest.promotion),
        })
    }
}

/// What keeps other processes out of a run folder. The system lets go of it when the process ends, however it does.
#[derive(Debug)]
pub(super) struct RunLock {
    file: File,
    /// What a process left here that did not end in order. Unless somebody takes it out, the next one finds it again.
    pub(super) left_behind: Option<LeftBehind>,
}

impl RunLock {
    /// Where the step under way is noted: after the holder.
    const STEP_AT: u64 = 1024;

    /// Notes which step begins, for whoever finds out that it did not end. The page cache keeps it when this process is killed.
    pub(super) fn note(&self, step: u64, from: Position) -> std::io::Result<()> {
        // Of one length, so that nothing of an earlier one is left.
        let text = json!(UnderWay { step, from }).to_string();
        self.file.write_all_at(format!("{text:<256}\n").as_bytes(), Self::STEP_AT)
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // In an orderly end only; what cannot be written is of no use to anybody but for an explanation.
        let _ = match self.left_behind.take() {
            None => self.file.set_len(0),
            Some(LeftBehind { holder, under_way }) => write(&mut self.file, &holder)
                .and_then(|()| under_way.map_or(Ok(()), |UnderWay { step, from }| self.note(step, from))),
        };
    }
}

/// What is found in the lock of a process that did not end in order.
#[derive(Debug)]
pub(super) struct LeftBehind {
    /// The process.
    pub(super) holder: Holder,
    /// The step that it began last, if it came to one.
    pub(super) under_way: Option<UnderWay>,
}

impl LeftBehind {
    fn read(file: &mut File) -> Option<Self> {
        let mut text = String::new();
        file.take(4096).read_to_string(&mut text).ok()?;
        let (holder, rest) = text.split_once('\n')?;
        let under_way = serde_json::from_str(rest.trim_matches(['\0', ' ', '\n'])).ok();
        Some(Self { holder: serde_json::from_str(holder).ok()?, under_way })
    }
}

/// A step that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnderWay {
    /// Its number.
    pub(super) step: u64,
    /// Where the samples stand before its batch.
    pub(super) from: Position,
}

/// Who holds a run folder, for those who find it locked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Holder {
    host: String,
    pid: u32,
    start: Timestamp,
}

impl Holder {
    fn this() -> Self {
        let host = uname().nodename().to_string_lossy().into_owned();
        Self { host, pid: process::id(), start: Timestamp::now() }
    }

    /// Whether it runs, on this machine.
    fn is_alive(&self) -> bool {
        let here = Self::this();
        self.host == here.host
            && self.pid != here.pid
            && Path::new("/proc").join(self.pid.to_string()).exists()
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on `{}`, since {:.0},", self.pid, self.host, self.start)
    }
}

/// Makes the lock this holder's.
fn write(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", json!(holder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::of(&place.path().join("run"));
        (place, folder)
    }

    #[test]
    fn a_folder_is_taken_by_one_at_a_time_and_says_by_whom() {
        let (_place, folder) = folder();
        let lock = folder.take().unwrap();
        assert!(lock.left_behind.is_none());
        let error = folder.take().unwrap_err();
        assert_eq!(Code::of(&error), Code::Locked);
        assert!(error.to_string().contains(&format!("process {} on", process::id())), "{error}");
        assert!(folder.take().is_err(), "a refused process does not free it");
        drop(lock);
        assert_eq!(fs::read(folder.path.join("run.lock")).unwrap(), b"");
        folder.take().unwrap();
    }

    #[test]
    fn a_lock_that_a_killed_process_left_behind_does_not_block() {
        let (_place, folder) = folder();
        fs::create_dir_all(&folder.path).unwrap();
        let stale = json!({"host": "elsewhere", "pid": 1, "start": "2026-11-28T01:15:00Z"});
        fs::write(folder.path.join("run.lock"), format!("{stale}\n")).unwrap();
        let mut lock = folder.take().unwrap();
        assert_eq!(lock.left_behind.take().unwrap().under_way, None);
        let text = fs::read_to_string(folder.path.join("run.lock")).unwrap();
        assert!(text.contains(&process::id().to_string()), "{text}");
        // As if it were killed in its third step.
        let from = Position { epoch: 1, offset: 7 };
        for step in 1..=3 {
            lock.note(step, from).unwrap();
        }
        let killed = fs::read(folder.path.join("run.lock")).unwrap();
        drop(lock);
        fs::write(folder.path.join("run.lock"), killed).unwrap();
        for _refused_before_it_could_tell in 0..2 {
            let lock = folder.take().unwrap();
            assert_eq!(lock.left_behind.as_ref().unwrap().under_way, Some(UnderWay { step: 3, from }));
        }
    }

    #[test]
    fn links_out_of_the_folder_are_refused() {
        let (place, folder) = folder();
        fs::create_dir_all(&folder.path).unwrap();
        std::os::unix::fs::symlink(place.path(), folder.path.join("checkpoints")).unwrap();
        let error = folder.take().unwrap_err();
        assert!(error.to_string().contains("checkpoints` is a link"), "{error}");
    }

    fn mark(folder: &RunFolder, text: &str) {
        fs::create_dir_all(folder.path.join("checkpoints")).unwrap();
        fs::write(&folder.config, text).unwrap();
        fs::write(folder.path.join("checkpoints/which"), text).unwrap();
    }

    fn which(folder: &RunFolder) -> String {
        let texts = [folder.config.clone(), folder.path.join("checkpoints/which")].map(fs::read_to_string);
        let [config, checkpoints] = texts.map(Result::unwrap);
        assert_eq!(config, checkpoints);
        config
    }

    #[test]
    fn a_run_that_is_set_aside_takes_the_place_of_the_one_before_it() {
        let (_place, folder) = folder();
        for run in ["first", "second"] {
            mark(&folder, run);
            folder.set_aside().unwrap();
            assert_eq!(which(&folder.previous()), run);
            assert!(!folder.config.exists() && folder.checkpoints.last_step().is_none());
        }
    }

    #[test]
    fn setting_aside_goes_on_after_a_crash_wherever_it_was() {
        let names = ["config.toml", "checkpoints"];
        for moved in 0..=2 {
            let (_place, folder) = folder();
            mark(&folder.previous(), "older");
            mark(&folder, "old");
            let aside = folder.path.join(RunFolder::BECOMING_PREVIOUS);
            fs::create_dir_all(&aside).unwrap();
            for name in &names[..moved] {
                fs::rename(folder.path.join(name), aside.join(name)).unwrap();
            }
            // The next start.
            folder.finish_setting_aside().unwrap();
            if folder.path.join("checkpoints").exists() {
                assert_eq!(which(&folder), "old", "it has its files back");
                assert_eq!(fs::read_to_string(folder.path.join("previous/config.toml")).unwrap(), "older");
                folder.set_aside().unwrap();
            }
            assert_eq!(which(&folder.previous()), "old", "after {moved} of them");
            assert!(!aside.exists());
        }
    }
}
