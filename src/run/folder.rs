//! A run's folder and the files in it.

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

/// Where a run keeps what it makes.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The folder itself.
    pub path: PathBuf,
    /// The resolved configuration.
    pub(crate) config: PathBuf,
    /// What the run was made of, and how far it came.
    pub(crate) manifest: PathBuf,
    /// One record a line.
    pub(crate) metrics: PathBuf,
    /// One unusable sample a line.
    pub(crate) bad_samples: PathBuf,
    /// What there is to say of a step that failed.
    pub(crate) crash: PathBuf,
    /// Its checkpoints.
    pub checkpoints: Checkpoints,
}

impl RunFolder {
    /// The folder, in a run folder, of the run before.
    const PREVIOUS: &str = "previous";
    /// While it is being filled.
    const BECOMING_PREVIOUS: &str = "previous.partial";
    /// What is being removed.
    const DISCARDED: &str = "discarded.partial";
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
    pub(crate) fn previous(&self) -> Self {
        Self::of(&self.path.join(Self::PREVIOUS))
    }

    /// Sees that the folder is nobody else's; `besides` may lie in it.
    ///
    /// # Errors
    ///
    /// Where there is something in it, but no run.
    pub(crate) fn check(&self, besides: Option<&Path>) -> Result<()> {
        destination::folder(&self.path, Contents::Run, besides)
    }

    /// Creates the folder where there is none, and takes it for this process until the lock is dropped.
    ///
    /// # Errors
    ///
    /// With [`Code::Locked`] where another process has it; where it cannot be written to.
    pub(crate) fn take(&self) -> Result<RunLock> {
        let path = self.path.display();
        let file = fs::create_dir_all(&self.path).and_then(|()| files::edit(&self.path.join("run.lock")));
        let lock = file
            .and_then(RunLock::take)
            .with_context(|| format!("cannot write to the run folder `{path}`"))
            .with_hint(|| "name another one with --out")
            .with_code_of_place()?;
        let lock = lock.map_err(|holder| {
            let hint = "wait for it, or name another folder with --out".to_owned();
            Hinted::error(Code::Locked, format!("{holder} is training in `{path}`"), vec![hint])
        })?;
        self.refuse_links()?;
        Ok(lock)
    }

    /// The same of a folder in which there was no run: there must be none yet.
    pub(crate) fn take_new(&self) -> Result<RunLock> {
        let taken = self.take()?;
        if self.checkpoints.last_step().is_some() {
            let path = self.path.display();
            let message = format!("another process has begun to train in `{path}`");
            let hint = "the same command again goes on there".to_owned();
            return Err(Hinted::error(Code::Locked, message, vec![hint]));
        }
        Ok(taken)
    }

    /// Folders that are written into have to lie here.
    fn refuse_links(&self) -> Result<()> {
        for name in [Self::CHECKPOINTS, "crash", Self::PREVIOUS, Self::BECOMING_PREVIOUS, Self::DISCARDED] {
            let path = self.path.join(name);
            if path.is_symlink() {
                return Err(usage!(
                    "`{}` is a link, and a run does not write outside its folder", path.display();
                    "put the folder itself there, or name the folder for the whole run with --out"
                ));
            }
        }
        Ok(())
    }

    /// Makes way for a run on other shards: what lies here becomes the previous run, in place of the one before it, unless it has
    /// made no step, and is worth less than that one.
    ///
    /// The checkpoints go last, so that the run is either here or there for whoever comes after a crash in between, who
    /// calls [`finish_setting_aside`](Self::finish_setting_aside) first.
    pub(crate) fn set_aside(&self) -> Result<()> {
        let set_aside = || -> Result<()> {
            let aside = self.path.join(Self::BECOMING_PREVIOUS);
            fs::create_dir_all(&aside)?;
            for file in [&self.config, &self.manifest, &self.metrics, &self.bad_samples, &self.crash] {
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

    /// Does the rest of what a process that was killed in [`set_aside`](Self::set_aside) did not come to.
    pub(crate) fn finish_setting_aside(&self) -> Result<()> {
        let [aside, previous, discarded] =
            [Self::BECOMING_PREVIOUS, Self::PREVIOUS, Self::DISCARDED].map(|name| self.path.join(name));
        let finish = || -> Result<()> {
            if aside.join(Self::CHECKPOINTS).exists() {
                let is_worth_less = previous.exists() && has_no_step(&Self::of(&aside));
                // What is removed is no run any more before it goes, and neither are its parts.
                discard(if is_worth_less { &aside } else { &previous }, &discarded)?;
            }
            if aside.join(Self::CHECKPOINTS).exists() {
                files::move_to(&aside, &previous)?;
                tracing::info!("the run so far is kept as `{}`", previous.display());
            } else if aside.exists() {
                // The run is here still, and whole again when it has its files back.
                self.take_back(&aside)?;
            }
            remove(&discarded)
        };
        finish()
            .with_context(|| format!("cannot put the run before into `{}`", previous.display()))
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

    /// How the training shards differ from those that the run saw, in words; none where they do not, or nobody knows.
    pub fn changes(&self, data: &DataConfig) -> Result<Option<String>> {
        let manifest = Manifest::read(&self.manifest)?;
        manifest.map_or(Ok(None), |manifest| manifest.changes_of_training(data))
    }

    /// Epochs that the run has begun, by its last checkpoint and records; none where it has made no step.
    pub fn epochs_begun(&self) -> Result<Option<u64>> {
        let saved = self.checkpoints.latest_state()?.map(|state| state.position);
        let saved = saved.map_or(0, |position| position.epoch + u64::from(position.offset > 0));
        let records = metrics::read(&self.metrics)?;
        let recorded = records.iter().filter_map(Record::epoch).fold(0.0, f64::max);
        Ok(Some(saved.max(recorded.ceil() as u64)).filter(|begun| *begun > 0))
    }

    /// Where the run stands, by its files: step, steps, and the last numbers.
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

/// Whether nothing was learned in a run that was begun here: one that was imported has no step either.
fn has_no_step(folder: &RunFolder) -> bool {
    let state = folder.checkpoints.latest_state().ok().flatten();
    state.is_some_and(|state| state.step == 0 && state.data.samples > 0)
}

/// Takes away a run, if there is one, so that what is left of it when the process is killed is taken for none.
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
    fn a_folder_is_taken_by_one_at_a_time_and_says_by_whom() {
        let (_place, folder) = folder();
        let lock = folder.take().unwrap();
        assert!(lock.left_behind().is_none());
        let error = folder.take().unwrap_err();
        assert_eq!(code(&error), Code::Locked);
        assert!(error.to_string().contains(&format!("process {} on", std::process::id())), "{error}");
        assert!(folder.take().is_err(), "a refused process does not free it");
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
    fn a_run_without_a_step_does_not_take_the_place_of_the_one_before() {
        let _alone = crate::generator();
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
    fn what_was_being_removed_when_a_process_was_killed_is_no_run() {
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
