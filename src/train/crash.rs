//! The crash folder of a run: when it is written, and with which step.

use std::{any::Any, path::Path};

use anyhow::Result;

use super::{BrokenStep, Run};
use crate::run::{
    crash::{self, Crash},
    folder::RunFolder,
    lock::{RunLock, StepStart},
    manifest::Manifest,
};
use crate::{
    checkpoint,
    config::{self, Config},
    failure,
    files::Partial,
    hint,
    world::World,
};

/// The hint for a run whose numbers are no longer finite.
pub(crate) const DIVERGED: &str =
    "train a new run with a lower --lr and another --out; the checkpoints of this run are from before that";

impl Run {
    /// Returns the step that is made next, with the position before its batch.
    pub(crate) fn next_step(&self) -> StepStart {
        StepStart { step: self.trainer.step_count() + 1, from: self.position }
    }

    /// Writes a crash folder for a step whose numbers were not finite. Returns the error to end the run with.
    pub(crate) fn report_broken_step(&self, folder: &RunFolder, broken: &BrokenStep) -> anyhow::Error {
        let start = self.unchecked.iter().find(|start| start.step == broken.step);
        let at = start.copied().unwrap_or(StepStart { step: broken.step, from: self.position });
        let what = format!("the loss of step {} is not finite", broken.step);
        // Of several processes, each knows its own samples and numbers only.
        let is_all = !self.world.has_others();
        let (indices, numbers) =
            (is_all.then(|| broken.indices.clone()), is_all.then(|| broken.numbers.clone()));
        self.write_crash(folder, &Crash { what: what.clone(), at, indices, numbers });
        failure!("{what}"; "{DIVERGED}")
    }

    /// Writes a crash folder for a panic of the training thread. Returns the error to end the run with.
    pub(crate) fn report_panic(&self, folder: &RunFolder, payload: &(dyn Any + Send)) -> anyhow::Error {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
        let next = self.next_step();
        // Within a step, the position may already be the one after its batch.
        let under_way = self.unchecked.last().filter(|start| start.step == next.step);
        let at = under_way.copied().unwrap_or(next);
        let error = failure!(
            "training panicked at step {}: {text}", at.step;
            "report this defect of the program; run the same command again to go on from the last checkpoint"
        );
        self.write_crash(folder, &Crash::of_error(at, &error));
        error
    }

    /// Writes a crash folder if the feed ended because a decoding thread panicked.
    pub(crate) fn report_panicked_worker(&self, folder: &RunFolder, error: &anyhow::Error) {
        let is_panic = hint::find::<pipeline::Error>(error).is_some_and(|error| {
            matches!(error, pipeline::Error::Worker { .. } | pipeline::Error::Thread { .. })
        });
        if is_panic {
            self.write_crash(folder, &Crash::of_error(self.next_step(), error));
        }
    }

    /// Warns if the last process that trained here was killed or crashed hard, and writes a crash folder for
    /// the step that was under way, without the state, which was lost with the process. `saved` is the step
    /// of the last checkpoint.
    pub(crate) fn report_killed_process(&mut self, folder: &RunFolder, saved: Option<u64>) -> Result<()> {
        let Some(left) = self.lock.as_ref().and_then(RunLock::left_behind) else { return Ok(()) };
        let what = format!("{} was killed or crashed", left.holder);
        let last = saved.map_or("there is no checkpoint yet".to_owned(), |step| {
            format!("the last checkpoint is from step {step}")
        });
        tracing::warn!("{what}: {last}");
        // A step that has a checkpoint was completed.
        let lost = left.under_way.filter(|start| saved.is_none_or(|saved| start.step > saved));
        if let Some(at) = lost.filter(|_| self.is_as_before(folder)) {
            let crash = Crash { what, at, indices: None, numbers: None };
            self.write_crash_folder(folder, &crash, |_| false);
        }
        match &mut self.lock {
            Some(lock) => lock.forget_left_behind(),
            None => Ok(()),
        }
    }

    /// Returns whether the folder's files are those of a run with these settings on these shards.
    fn is_as_before(&self, folder: &RunFolder) -> bool {
        let compare = || -> Result<bool> {
            let before = config::read(&folder.config)?;
            Config::resume(&before, &toml::Table::try_from(self.settings())?)?;
            let manifest = Manifest::read(&folder.manifest)?;
            Ok(manifest.is_some_and(|manifest| {
                manifest.changes_of_training(&self.config.data).is_ok_and(|changes| changes.is_none())
            }))
        };
        compare().unwrap_or(false)
    }

    /// Writes the crash folder, with the state before the step, and says where it is.
    pub(crate) fn write_crash(&self, folder: &RunFolder, crash: &Crash) {
        self.write_crash_folder(folder, crash, |path| self.write_state(path, crash.at));
    }

    /// Writes the crash folder where this process leads.
    fn write_crash_folder(&self, folder: &RunFolder, crash: &Crash, write_state: impl FnOnce(&Path) -> bool) {
        let (path, step) = (folder.crash.display(), crash.at.step);
        if !self.world.is_lead() {
            return;
        }
        let samples = || {
            // Those of all processes: another one than the lead may have the sample that is to blame.
            let whole = World::ALONE.division(self.batch_size, self.config.train.accumulate);
            let stream = self.data.trained.samples(self.order(), whole, crash.at.from);
            crash::describe_samples(&stream, self.batch_size, crash.indices.as_deref())
        };
        match crash::write(folder, crash, &self.config, write_state, samples) {
            Ok(true) => tracing::warn!(
                "the samples of step {step} and the state before it are in `{path}`; `amdim-stream replay {path}` makes it again"
            ),
            Ok(false) => {
                tracing::warn!("the samples of step {step}, which was under way, are listed in `{path}`");
            }
            Err(error) => tracing::warn!("cannot write `{path}`: {error:#}"),
        }
    }

    /// Writes the state before a step: neither the step nor those after it updated anything. Returns whether
    /// it could be written.
    fn write_state(&self, path: &Path, at: StepStart) -> bool {
        let state = self.state(at.step - 1, at.from);
        let write = || -> Result<()> {
            let partial = Partial::beside(path)?;
            let (network, moments) = (self.trainer.network().tensors(), self.trainer.moments());
            checkpoint::write(partial.path(), &state, &network, &moments)?;
            Ok(partial.finish()?)
        };
        let written = torchkit::caught(write).map_err(anyhow::Error::from).flatten();
        if let Err(error) = &written {
            tracing::warn!("the state before step {} cannot be saved: {error:#}", at.step);
        }
        written.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::replay::{self, Args},
        run::crash::CrashReport,
        train::tiny,
    };

    #[test]
    fn a_step_in_which_training_panicked_can_be_replayed() {
        let _alone = crate::testing::lock_generator();
        let place = tempfile::tempdir().unwrap();
        let (mut run, folder) = tiny::run(place.path());
        let mut feed = run.feed().unwrap();
        let batch = feed.next().unwrap().unwrap();
        let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run.unchecked.push(run.next_step());
            torchkit::caught(|| panic!("as by a defect")).unwrap();
        }));
        let error = run.report_panic(&folder, &*payload.unwrap_err());
        assert!(error.to_string().contains("panicked at step 1: as by a defect"), "{error}");
        let report = CrashReport::read(&folder.crash).unwrap();
        assert!(report.has_state && report.what.contains("as by a defect"));
        let indices = Vec::<i64>::try_from(&batch.views.indices).unwrap();
        let listed: Vec<_> = report.samples.iter().map(|sample| sample["index"].as_i64().unwrap()).collect();
        assert_eq!(listed, indices);
        let args = Args { crash: folder.crash, shards: Vec::new(), device: None, precision: None };
        replay::run(&args).unwrap();
    }

    #[test]
    fn a_process_that_does_not_lead_writes_no_crash_folder() {
        let _alone = crate::testing::lock_generator();
        let place = tempfile::tempdir().unwrap();
        let (mut run, folder) = tiny::run(place.path());
        run.world = crate::world::World::made_up(1, 2);
        let error = anyhow::anyhow!("a defect");
        run.write_crash(&folder, &Crash::of_error(run.next_step(), &error));
        assert!(!folder.crash.exists());
    }
}
