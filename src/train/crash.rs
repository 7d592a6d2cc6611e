//! `crash/`: what there is to say of a step that failed, and what it takes to make it again.

use std::{any::Any, fs, path::Path};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shards::Position;

use super::{Broken, Run, StepNumbers};
use crate::run::{
    folder::RunFolder,
    lock::{RunLock, UnderWay},
    manifest::Manifest,
};
use crate::{
    checkpoint,
    config::{self, Config},
    failure, files,
    hint::{self, WithHint},
};

/// What cures a run whose numbers are no longer finite.
pub(crate) const DIVERGED: &str =
    "train a new run with a lower --lr and another --out; the checkpoints of this run are from before that";

/// A step that failed.
#[derive(Debug)]
pub(crate) struct Crash {
    /// What happened.
    pub(crate) what: String,
    /// The step that it would have been.
    pub(crate) step: u64,
    /// Where the samples stood before its batch.
    pub(crate) from: Position,
    /// The numbers of its samples in the whole set, where they are known.
    pub(crate) indices: Option<Vec<i64>>,
    /// What it found, if it came so far.
    pub(crate) found: Option<StepNumbers>,
}

impl Crash {
    pub(crate) fn error(step: u64, from: Position, error: &anyhow::Error) -> Self {
        Self { what: hint::causes(error), step, from, indices: None, found: None }
    }
}

/// `crash.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What happened.
    pub(crate) what: String,
    /// When.
    pub(crate) time: Timestamp,
    /// The version of the program.
    pub(crate) program: String,
    /// The step that it would have been.
    pub(crate) step: u64,
    /// What randomness derives from: (seed, step) gives what the step draws, (seed, epoch, index, view) what augmentation
    /// draws for a sample.
    pub(crate) seed: u64,
    /// Where the samples stood before its batch.
    pub(crate) from: Position,
    /// Whether the state before the step lies beside this, as `checkpoint`.
    pub(crate) has_state: bool,
    /// Its samples, in order.
    pub(crate) samples: Vec<Value>,
    /// What the step found, as text, since JSON has no infinity.
    pub(crate) found: Map<String, Value>,
    /// The last records before it.
    pub(crate) last: Value,
}

impl Report {
    /// The file in a crash folder.
    pub(crate) const FILE: &str = "crash.json";
    /// The folder of the state.
    pub(crate) const STATE: &str = "checkpoint";
}

impl Run {
    /// The loss of a step was not finite: leaves a crash folder; the error to end the run with.
    pub(crate) fn broken(&self, folder: &RunFolder, broken: &Broken) -> anyhow::Error {
        let from = self.unchecked.iter().find(|(step, _)| *step == broken.step);
        let what = format!("the loss of step {} is not finite", broken.step);
        self.write_crash(
            folder,
            &Crash {
                what: what.clone(),
                step: broken.step,
                from: from.map_or(self.position, |(_, position)| *position),
                indices: Some(broken.indices.clone()),
                found: Some(broken.found.clone()),
            },
        );
        failure!("{what}"; "{DIVERGED}")
    }

    /// The training thread panicked: the same.
    pub(crate) fn panicked(&self, folder: &RunFolder, payload: &(dyn Any + Send)) -> anyhow::Error {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
        let next = self.trainer.step_count() + 1;
        // Between two steps none of those that are noted is under way.
        let under_way = self.unchecked.last().filter(|(step, _)| *step == next);
        let (step, from) = under_way.copied().unwrap_or((next, self.position));
        let error = failure!(
            "training panicked at step {step}: {text}";
            "report this defect of the program; run the same command again to go on from the last checkpoint"
        );
        self.write_crash(folder, &Crash::error(step, from, &error));
        error
    }

    /// A decoding thread panicked, which ends the feed.
    pub(crate) fn tell_of_panicked_worker(&self, folder: &RunFolder, error: &anyhow::Error) {
        let is_panic = hint::find::<pipeline::Error>(error).is_some_and(|error| {
            matches!(error, pipeline::Error::Worker { .. } | pipeline::Error::Thread { .. })
        });
        if is_panic {
            let step = self.trainer.step_count() + 1;
            self.write_crash(folder, &Crash::error(step, self.position, error));
        }
    }

    /// If a process that trained here before was killed, or crashed hard, leaves a folder without the state, which went with it.
    /// `saved` is the step of the last checkpoint that lies there.
    pub(crate) fn tell_of_killed_process(&mut self, folder: &RunFolder, saved: Option<u64>) -> Result<()> {
        let Some(left) = self.lock.as_ref().and_then(RunLock::left_behind) else { return Ok(()) };
        let what = format!("{} did not end in order", left.holder);
        let left_off = saved.map_or("there is no checkpoint yet".to_owned(), |step| {
            format!("the last checkpoint is of step {step}")
        });
        tracing::warn!("{what}: {left_off}");
        // A step whose checkpoint there is was made.
        let lost = left.under_way.filter(|under_way| saved.is_none_or(|saved| under_way.step > saved));
        if let Some(UnderWay { step, from }) = lost.filter(|_| self.is_as_before(folder)) {
            self.tell(folder, &Crash { what, step, from, indices: None, found: None }, false);
        }
        self.lock.as_mut().map_or(Ok(()), RunLock::take_note)
    }

    /// Whether this is the run that was begun here before, as far as its files tell.
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

    /// Writes the crash folder, in place of an older one, and says where it is.
    pub(crate) fn write_crash(&self, folder: &RunFolder, crash: &Crash) {
        self.tell(folder, crash, true);
    }

    fn tell(&self, folder: &RunFolder, crash: &Crash, with_state: bool) {
        let path = folder.crash.display();
        match self.try_write_crash(folder, crash, with_state) {
            Ok(true) => tracing::warn!(
                "the samples of step {} and the state before it are in `{path}`; `amdim-stream replay {path}` makes it again",
                crash.step
            ),
            Ok(false) => {
                tracing::warn!(
                    "the samples of step {}, which was under way, are listed in `{path}`",
                    crash.step
                );
            }
            Err(error) => tracing::warn!("cannot write `{path}`: {error:#}"),
        }
    }

    /// Gives whether the state before the step could be saved.
    fn try_write_crash(&self, folder: &RunFolder, crash: &Crash, with_state: bool) -> Result<bool> {
        if folder.crash.exists() {
            fs::remove_dir_all(&folder.crash)?;
        }
        fs::create_dir(&folder.crash)?;
        let has_state = with_state && self.write_state(&folder.crash.join(Report::STATE), crash);
        let standing = folder.standing();
        let report = Report {
            what: crash.what.clone(),
            time: Timestamp::now(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            step: crash.step,
            seed: self.config.seed,
            from: crash.from,
            has_state,
            samples: self.samples_of(crash),
            found: crash.found.as_ref().map(as_text).unwrap_or_default(),
            last: json!({"train": standing.train, "validation": standing.validation}),
        };
        self.config.write(&folder.crash.join("config.toml"))?;
        files::replace(&folder.crash.join(Report::FILE), &serde_json::to_vec_pretty(&report)?)?;
        Ok(report.has_state)
    }

    /// The state that the step began with: nothing after it was updated. Whether it could be written.
    fn write_state(&self, path: &Path, crash: &Crash) -> bool {
        let state = self.state(crash.step - 1, crash.from);
        let write =
            || checkpoint::write(path, &state, &self.trainer.network().tensors(), &self.trainer.moments());
        let written = torchkit::caught(write).map_err(anyhow::Error::from).flatten();
        if let Err(error) = &written {
            tracing::warn!("the state before step {} cannot be saved: {error:#}", crash.step);
        }
        written.is_ok()
    }

    /// The samples of the batch, with the coordinates of what was drawn for them.
    fn samples_of(&self, crash: &Crash) -> Vec<Value> {
        // The stream has no end; between the samples of a batch lie only those that are unusable.
        let most = 2 * self.batch_size + 1000;
        let mut stream =
            self.data.train.samples(self.order(), self.trainer.world().share(), crash.from).take(most);
        let mut sample = |index: Option<i64>| loop {
            // Where a sample of the batch cannot be read any more, or not yet, its number is all that is known.
            match stream.next()? {
                Ok(sample) if index.is_none_or(|index| index == sample.index as i64) => {
                    break Some(json!({
                        "index": sample.index, "epoch": sample.epoch, "shard": &*sample.shard, "offset": sample.offset,
                        "key": sample.key,
                    }));
                }
                Ok(_) | Err(shards::Error::Sample { .. }) => {}
                Err(_) => break None,
            }
        };
        match &crash.indices {
            Some(indices) => {
                let described = |&index: &i64| sample(Some(index)).unwrap_or_else(|| json!({"index": index}));
                indices.iter().map(described).collect()
            }
            None => (0..self.batch_size).map_while(|_| sample(None)).collect(),
        }
    }
}

/// What a step found by name, as text, since JSON has no infinity.
pub(crate) fn as_text(found: &StepNumbers) -> Map<String, Value> {
    let texts = found.named().into_iter().map(|(name, value)| (name.to_owned(), json!(value.to_string())));
    texts.collect()
}

/// A crash folder as it was written.
pub(crate) fn read(folder: &Path) -> Result<Report> {
    let path = folder.join(Report::FILE);
    let bytes = fs::read(&path)
        .with_context(|| format!("cannot read `{}`", path.display()))
        .with_hint(|| "name the `crash` folder in a run folder")?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("cannot understand `{}`", path.display()))
        .with_hint(|| "replay it with the version of the program that wrote it, unless the file is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::replay::{self, Args},
        train::tiny,
    };

    #[test]
    fn a_panic_leaves_what_it_takes_to_make_the_step_again() {
        let _alone = crate::generator();
        let place = tempfile::tempdir().unwrap();
        let (mut run, folder) = tiny::run(place.path());
        let mut feed = run.feed().unwrap();
        let staged = feed.next().unwrap().unwrap();
        let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run.unchecked.push((1, run.position));
            torchkit::caught(|| panic!("as by a defect")).unwrap();
        }));
        let error = run.panicked(&folder, &*payload.unwrap_err());
        assert!(error.to_string().contains("panicked at step 1: as by a defect"), "{error}");
        let report = read(&folder.crash).unwrap();
        assert!(report.has_state && report.what.contains("as by a defect"));
        let indices = Vec::<i64>::try_from(&staged.views.indices).unwrap();
        let listed: Vec<_> = report.samples.iter().map(|sample| sample["index"].as_i64().unwrap()).collect();
        assert_eq!(listed, indices);
        let args = Args { crash: folder.crash, shards: Vec::new(), device: None, precision: None };
        replay::run(&args).unwrap();
    }
}
