//! The folder of a run, and the files in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::run::{lock::RunLock, manifest::Manifest, standing::Standing};
use crate::{
    checkpoint::Checkpoints,
    config::DataConfig,
    destination::{self, Contents},
    exit::Code,
    files,
    hint::{Hinted, WithHint},
    metrics::{self, Record},
    usage,
};

/// The paths of a run folder.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The folder itself.
    pub path: PathBuf,
    /// The resolved configuration.
    pub(crate) config: PathBuf,
    /// The shards that the run reads, and how it ended.
    pub(crate) manifest: PathBuf,
    /// One record in each line.
    pub(crate) metrics: PathBuf,
    /// One bad sample in each line.
    pub(crate) bad_samples: PathBuf,
    /// The starts and the ends of the run, one in each line.
    pub(crate) history: PathBuf,
    /// What the last validation has found among neighbours.
    pub(crate) validation: PathBuf,
    /// The page about the run.
    pub(crate) report: PathBuf,
    /// The report on a step that failed.
    pub(crate) crash: PathBuf,
    /// The event files for TensorBoard.
    pub(crate) tensorboard: PathBuf,
    /// The checkpoints.
    pub checkpoints: Checkpoints,
}

impl RunFolder {
    /// The folder of the previous run, within a run folder.
    const PREVIOUS: &str = "previous";
    /// Its name while it is being filled.
    const BECOMING_PREVIOUS: &str = "previous.partial";
    /// The name of a run that is being removed.
    const DISCARDED: &str = "discarded.partial";
    const CHECKPOINTS: &str = "checkpoints";

    /// Returns the paths of a run folder, which need not exist.
    pub fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            config: path.join("config.toml"),
            manifest: path.join("manifest.json"),
            metrics: path.join("metrics.jsonl"),
            bad_samples: path.join("bad-samples.jsonl"),
            history: path.join("history.jsonl"),
            validation: path.join("validation.json"),
            report: path.join("report.html"),
            crash: path.join("crash"),
            tensorboard: path.join("tensorboard"),
            checkpoints: Checkpoints::of(path),
        }
    }

    /// Returns whether the folder contains a run, or what is left of one.
    pub(crate) fn is_one(&self) -> bool {
        [&self.config, &self.manifest, &self.metrics, &self.history].iter().any(|file| file.is_file())
    }

    /// Returns the folder of the previous run, which was set aside when its shards had changed.
    pub(crate) fn previous(&self) -> Self {
        Self::of(&self.path.join(Self::PREVIOUS))
    }

    /// Checks that the folder is new, empty, or a run folder; it may contain the file `besides`.
    ///
    /// # Errors
    ///
    /// If it contains other files and no run.
    pub(crate) fn check(&self, besides: Option<&Path>) -> Result<()> {
        destination::folder(&self.path, Contents::Run, besides)
    }

    /// Creates the folder if it does not exist, and locks it for this process until the result is dropped.
    ///
    /// # Errors
    ///
    /// With [`Code::Locked`] if another process has the lock, and if the folder cannot be written to.
    pub(crate) fn take(&self) -> Result<RunLock> {
        let path = self.path.display();
        let file = fs::create_dir_all(&self.path).and_then(|()| files::edit(&self.path.join("run.lock")));
        let lock = file
            .and_then(RunLock::take)
            .with_context(|| format!("cannot write to the run folder `{path}`"))
            .with_hint(|| "name another folder with --out")
            .with_code_of_place()?;
        let lock = lock.map_err(|holder| {
            let hint = "wait for it, or name another folder with --out".to_owned();
            Hinted::error(Code::Locked, format!("{holder} is training in `{path}`"), vec![hint])
        })?;
        self.refuse_links()?;
        Ok(lock)
    }

    /// Locks the folder if it exists, and finishes the work of a process that was killed while it set a run
    /// aside.
    ///
    /// # Errors
    ///
    /// Those of [`take`](Self::take), and if files cannot be moved.
    pub(crate) fn take_existing(&self) -> Result<Option<RunLock>> {
        let lock = if self.path.is_dir() { Some(self.take()?) } else { None };
        self.finish_setting_aside()?;
        Ok(lock)
    }

    /// Creates and locks the folder of a new run.
    ///
    /// # Errors
    ///
    /// Those of [`take`](Self::take), and if another process has begun a run there meanwhile.
    pub(crate) fn take_new(&self) -> Result<RunLock> {
        let lock = self.take()?;
        if self.checkpoints.last_step().is_some() {
            let path = self.path.display();
            let message = format!("another process has begun to train in `{path}`");
            let hint = "run the same command again to go on with that run".to_owned();
            return Err(Hinted::error(Code::Locked, message, vec![hint]));
        }
        Ok(lock)
    }

    /// Refuses links in place of the folders into which a run writes.
    fn refuse_links(&self) -> Result<()> {
        let names = [Self::CHECKPOINTS, Self::PREVIOUS, Self::BECOMING_PREVIOUS, Self::DISCARDED];
        let folders = names.map(|name| self.path.join(name));
        for path in folders.iter().chain([&self.crash, &self.tensorboard]) {
            if path.is_symlink() {
                return Err(usage!(
                    "`{}` is a link, and a run does not write outside its folder", path.display();
                    "put the folder itself there, or name the folder for the whole run with --out"
                ));
            }
        }
        Ok(())
    }

    /// Makes this run the previous run, in place of an older one, so that a run on other shards can begin. A
    /// run without a step does not replace an older one and is removed.
    ///
    /// The checkpoints are moved last, so that after a crash the run is complete in one of both places once
    /// the next process has called [`finish_setting_aside`](Self::finish_setting_aside).
    pub(crate) fn set_aside(&self) -> Result<()> {
        let set_aside = || -> Result<()> {
            let aside = self.path.join(Self::BECOMING_PREVIOUS);
            fs::create_dir_all(&aside)?;
            for file in self.files() {
                if file.exists() {
                    let name = file.file_name().context("files of a run have names")?;
                    files::move_to(file, &aside.join(name))?;
                }
            }
            files::move_to(&self.path.join(Self::CHECKPOINTS), &aside.join(Self::CHECKPOINTS))?;
            self.finish_setting_aside()
        };
        set_aside()
            .with_context(|| format!("cannot set aside the run in `{}`", self.path.display()))
            .with_write_hint()
    }

    /// Returns the files of a run that move with it, and its crash folder.
    fn files(&self) -> [&Path; 9] {
        let Self { config, manifest, metrics, bad_samples, history, .. } = self;
        let Self { validation, report, crash, tensorboard, .. } = self;
        [config, manifest, metrics, bad_samples, history, validation, report, crash, tensorboard]
    }

    /// Finishes the work of a process that was killed in [`set_aside`](Self::set_aside).
    pub(crate) fn finish_setting_aside(&self) -> Result<()> {
        let [aside, previous, discarded] =
            [Self::BECOMING_PREVIOUS, Self::PREVIOUS, Self::DISCARDED].map(|name| self.path.join(name));
        let finish = || -> Result<()> {
            if aside.join(Self::CHECKPOINTS).exists() {
                let is_worth_less = previous.exists() && has_no_step(&Self::of(&aside));
                // A rename removes the run as a whole; its files are deleted afterwards.
                discard(if is_worth_less { &aside } else { &previous }, &discarded)?;
            }
            if aside.join(Self::CHECKPOINTS).exists() {
                files::move_to(&aside, &previous)?;
                tracing::info!("the previous run is kept as `{}`", previous.display());
            } else if aside.exists() {
                // The checkpoints were not moved yet: the run gets its other files back.
                self.take_back(&aside)?;
            }
            remove(&discarded)
        };
        finish()
            .with_context(|| format!("cannot move the previous run to `{}`", previous.display()))
            .with_write_hint()
    }

    /// Moves files of this run back into its folder.
    fn take_back(&self, aside: &Path) -> Result<()> {
        for entry in fs::read_dir(aside)? {
            let name = entry?.file_name();
            if !self.path.join(&name).exists() {
                files::move_to(&aside.join(&name), &self.path.join(&name))?;
            }
        }
        Ok(fs::remove_dir_all(aside)?)
    }

    /// Describes how the training shards differ from those at the beginning of the run. Returns `None` if
    /// they do not, or if there is no readable manifest.
    pub fn changes(&self, data: &DataConfig) -> Result<Option<String>> {
        match Manifest::read(&self.manifest)? {
            Some(manifest) => manifest.changes_of_training(data),
            None => Ok(None),
        }
    }

    /// Returns the number of epochs that the run has begun, from its last checkpoint and its records, or
    /// `None` if it has made no step.
    pub fn epochs_begun(&self) -> Result<Option<u64>> {
        let saved = self.checkpoints.latest_state()?.map(|state| state.position);
        let saved = saved.map_or(0, |position| position.epoch + u64::from(position.offset > 0));
        let records = metrics::read(&self.metrics)?;
        let recorded = records.iter().filter_map(Record::epoch).fold(0.0, f64::max);
        Ok(Some(saved.max(recorded.ceil() as u64)).filter(|begun| *begun > 0))
    }

    /// Reads from the files where the run stands: step, steps, and the last records.
    pub fn standing(&self) -> Standing {
        let records = metrics::read(&self.metrics).unwrap_or_default();
        let manifest = Manifest::read(&self.manifest).ok().flatten();
        Standing {
            run: self.path.clone(),
            finished: manifest.as_ref().is_some_and(|manifest| manifest.finished.is_some()),
            step: self.checkpoints.last_step(),
            steps: manifest.as_ref().map(|manifest| manifest.steps),
            train: records.iter().rev().find(|record| record.train().is_some()).cloned(),
            validation: records.iter().rev().find(|record| record.validation().is_some()).cloned(),
            promotion: manifest.and_then(|manifest| manifest.promotion),
        }
    }
}

/// Returns whether the run has made no step. An imported encoder has no step either, and does not count.
fn has_no_step(folder: &RunFolder) -> bool {
    let state = folder.checkpoints.latest_state().ok().flatten();
    state.is_some_and(|state| state.step == 0 && state.data.samples > 0)
}

/// Moves a run aside with one rename, so that a crash while its files are deleted leaves no partial run.
fn discard(run: &Path, discarded: &Path) -> Result<()> {
    remove(discarded)?;
    if run.exists() {
        files::move_to(run, discarded)?;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkpoint::{self, DataIdentity, State},
        hint::code,
        train::tiny,
    };

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::of(&place.path().join("run"));
        (place, folder)
    }

    #[test]
    fn a_folder_is_locked_by_one_process_at_a_time_which_the_error_names() {
        let (_place, folder) = folder();
        let lock = folder.take().unwrap();
        assert!(lock.left_behind().is_none());
        let error = folder.take().unwrap_err();
        assert_eq!(code(&error), Code::Locked);
        assert!(error.to_string().contains(&format!("process {} on", std::process::id())), "{error}");
        assert!(folder.take().is_err(), "a refused process does not release the lock");
        drop(lock);
        assert_eq!(fs::read(folder.path.join("run.lock")).unwrap(), b"");
        folder.take().unwrap();
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
    fn a_run_that_is_set_aside_replaces_the_previous_one() {
        let (_place, folder) = folder();
        for run in ["first", "second"] {
            mark(&folder, run);
            folder.set_aside().unwrap();
            assert_eq!(which(&folder.previous()), run);
            assert!(!folder.config.exists() && folder.checkpoints.last_step().is_none());
        }
    }

    #[test]
    fn a_run_without_a_step_does_not_replace_the_previous_one() {
        let _alone = crate::testing::lock_generator();
        let place = tempfile::tempdir().unwrap();
        let (run, folder) = tiny::run(place.path());
        let begun = run.state(0, run.position);
        let imported = State { data: DataIdentity { digest: 0, samples: 0 }, ..begun.clone() };
        for (state, is_kept) in [(begun, false), (imported, true)] {
            mark(&folder.previous(), "trained");
            fs::create_dir_all(folder.path.join("checkpoints")).unwrap();
            let step = folder.path.join("checkpoints/step-00000000");
            checkpoint::write(&step, &state, &run.trainer.network().tensors(), &run.trainer.moments())
                .unwrap();
            folder.set_aside().unwrap();
            assert!(!folder.path.join("checkpoints").exists());
            assert_eq!(folder.previous().config.exists(), !is_kept);
            assert_eq!(folder.previous().checkpoints.last_step(), is_kept.then_some(0));
            assert!(!folder.path.join(RunFolder::DISCARDED).exists());
        }
    }

    #[test]
    fn a_run_whose_removal_was_interrupted_does_not_come_back() {
        for is_previous_there in [false, true] {
            let (_place, folder) = folder();
            mark(&RunFolder::of(&folder.path.join(RunFolder::DISCARDED)), "half removed");
            if is_previous_there {
                mark(&folder.previous(), "kept");
            } else {
                mark(&RunFolder::of(&folder.path.join(RunFolder::BECOMING_PREVIOUS)), "kept");
            }
            folder.finish_setting_aside().unwrap();
            assert_eq!(which(&folder.previous()), "kept");
            assert!(!folder.path.join(RunFolder::DISCARDED).exists());
        }
    }

    #[test]
    fn setting_aside_is_finished_after_a_crash_at_any_point() {
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
            // The next process.
            folder.finish_setting_aside().unwrap();
            if folder.path.join("checkpoints").exists() {
                assert_eq!(which(&folder), "old", "it has its files back");
                assert_eq!(fs::read_to_string(folder.path.join("previous/config.toml")).unwrap(), "older");
                folder.set_aside().unwrap();
            }
            assert_eq!(which(&folder.previous()), "old", "after {moved} files");
            assert!(!aside.exists());
        }
    }
}
