//! The training loop.

pub mod optim;
pub mod schedule;

mod log;
mod records;
mod run_folder;
mod stop;
mod trainer;

use anyhow::{Context, Result};
use pipeline::LoaderConfig;
use serde_json::{Value, json};
use shards::{Order, Position, Share};
use tch::Device;

use self::{log::Log, records::BadSamples, run_folder::RunFolder, stop::Stop};
pub use self::{
    stop::INTERRUPTED,
    trainer::{Broken, Outcome, Trainer},
};
use crate::{
    checkpoint::{self, DataIdentity, Retention, State},
    config::Config,
    data::{self, Data},
    feed::Feed,
    sys, usage,
};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All steps are made.
    Finished,
    /// A signal asked it to stop; it is saved.
    Interrupted,
}

/// What a run consists of, once everything that can be refused has been.
struct Run {
    config: Config,
    data: Data,
    device: Device,
    trainer: Trainer,
    position: Position,
    steps: u64,
    batch_size: usize,
}

/// Trains as `asked` (flags over file), resuming what lies in the run folder.
pub fn run(asked: &toml::Table) -> Result<Ended> {
    let stop = Stop::install()?;
    let fresh = Config::resolve(asked)?;
    let folder = RunFolder::open(&fresh.out)?;
    let resumed = folder.checkpoints.latest()?;
    let config = match &resumed {
        Some(loaded) => Config::resume(&toml::Table::try_from(&loaded.state.config)?, asked)?,
        None => fresh,
    };
    let mut run = Run::prepare(config)?;
    if let Some(loaded) = resumed {
        run.resume(&loaded)?;
    }
    run.config.write(&folder.config)?;
    run.announce(&folder);
    let ended = run.train(&folder, &stop)?;
    run.report(&folder, ended)?;
    Ok(ended)
}

impl Run {
    fn prepare(mut config: Config) -> Result<Self> {
        let device = sys::device(config.run.device)?;
        let data = Data::open(&config.data)?;
        let batch_size = batch_size(&config, device, data.train.len())?;
        let steps = steps(&config, batch_size, data.train.len());
        config.train.batch_size = Some(batch_size);
        config.train.epochs =
            config.train.epochs.or(config.train.steps.is_none().then(|| default_epochs(&config)));
        let trainer = Trainer::new(&config, data.classes, device, steps);
        Ok(Self { config, data, device, trainer, position: Position::default(), steps, batch_size })
    }

    fn identity(&self) -> DataIdentity {
        DataIdentity { digest: self.data.train.digest(), samples: self.data.train.len() }
    }

    fn resume(&mut self, loaded: &checkpoint::Loaded) -> Result<()> {
        let (then, now) = (loaded.state.data, self.identity());
        if then != now {
            return Err(usage!(
                "the training shards have changed since this run was started: {} samples then, {} now\n  hint: give \
                 the run on the new shards another folder with --out",
                then.samples,
                now.samples
            ));
        }
        self.trainer.restore(loaded).context("cannot resume")?;
        self.position = loaded.state.position;
        Ok(())
    }

    fn announce(&self, folder: &RunFolder) {
        let classes =
            self.data.classes.map_or("no labels".to_owned(), |classes| format!("{classes} classes"));
        tracing::info!(
            "{} samples ({classes}), shards: {}; batches of {} on {:?}; decoding threads: {}; {}",
            self.data.train.len(),
            self.data.train.shards().len(),
            self.batch_size,
            self.device,
            workers(&self.config),
            if self.trainer.step_count() == 0 {
                format!("run folder `{}`", folder.path.display())
            } else {
                format!("resuming `{}` at step {}", folder.path.display(), self.trainer.step_count())
            }
        );
    }

    fn feed(&self) -> Result<Feed> {
        let order = Order {
            seed: self.config.seed,
            shuffle: true,
            window: self.config.data.shuffle_window,
            epochs: None,
        };
        let samples = self.data.train.samples(order, Share::default(), self.position);
        let recipe = self.config.method.recipe(self.config.preset);
        let loader = LoaderConfig {
            workers: workers(&self.config),
            batch_size: self.batch_size,
            seed: self.config.seed,
            drop_last: true,
            faults: self.config.run.max_bad,
            ..LoaderConfig::default()
        };
        Feed::spawn(samples, recipe, self.config.preset.normalization(), &loader, self.device)
    }

    /// Steps until the last one or a signal.
    fn train(&mut self, folder: &RunFolder, stop: &Stop) -> Result<Ended> {
        let mut log = Log::open(folder, self.trainer.step_count(), self.steps)?;
        let mut bad = BadSamples::open(&folder.bad_samples, self.data.train.faults())?;
        if self.trainer.step_count() >= self.steps {
            return Ok(Ended::Finished);
        }
        let mut feed = self.feed()?;
        while self.trainer.step_count() < self.steps && !stop.requested() {
            let staged = feed.next().context("the samples ran out")??;
            bad.write(&staged.skipped)?;
            let outcome = match self.trainer.step(&staged.views) {
                Ok(outcome) => outcome,
                Err(broken) => return Err(folder.write_broken_batch(&broken, &staged.views, &self.data)),
            };
            self.position = staged.views.next;
            log.count(&outcome, &staged, feed.take_waited());
            let step = self.trainer.step_count();
            if step.is_multiple_of(self.config.run.log_every) || step == self.steps {
                log.train(step, self.epoch(), bad.count())?;
            }
            if self.validation_due() {
                let started = std::time::Instant::now();
                self.validate(&mut log)?;
                log.exclude(started.elapsed());
            }
            if step.is_multiple_of(self.config.run.checkpoint_every) && step != self.steps {
                self.save(folder)?;
            }
        }
        self.save(folder)?;
        Ok(if self.trainer.step_count() == self.steps { Ended::Finished } else { Ended::Interrupted })
    }

    /// Epochs gone by, with their fraction.
    fn epoch(&self) -> f64 {
        self.position.epoch as f64 + self.position.offset as f64 / self.data.train.len() as f64
    }

    /// Whether an epoch that asks for validation, or the run, has just ended.
    fn validation_due(&self) -> bool {
        let ended = |step: u64| {
            step * self.batch_size as u64 / self.data.train.len() / self.config.run.validate_every
        };
        let step = self.trainer.step_count();
        self.data.validation.is_some() && (ended(step) > ended(step - 1) || step == self.steps)
    }

    fn validate(&self, log: &mut Log) -> Result<()> {
        let Some(validation) = &self.data.validation else { return Ok(()) };
        let feed = crate::eval::images(validation, &self.config, self.device)?;
        log.validation(self.trainer.step_count(), self.epoch(), self.trainer.validate(feed)?)
    }

    fn save(&self, folder: &RunFolder) -> Result<()> {
        let state = State {
            step: self.trainer.step_count(),
            position: self.position,
            data: self.identity(),
            classes: self.data.classes,
            config: self.config.clone(),
        };
        let retention = Retention { keep: self.config.run.keep, keep_every: self.config.run.keep_every };
        folder.checkpoints.save(&state, &self.trainer.model(), &self.trainer.moments(), retention)?;
        Ok(())
    }

    /// One JSON object on stdout: where the run stands and its last numbers.
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    fn report(&self, folder: &RunFolder, ended: Ended) -> Result<()> {
        let last = |kind: &str| -> Result<Value> {
            let lines = crate::metrics::read_lines(&folder.metrics)?;
            Ok(lines.into_iter().rev().find(|line| line["kind"] == kind).unwrap_or(Value::Null))
        };
        let result = json!({
            "run": folder.path,
            "finished": ended == Ended::Finished,
            "step": self.trainer.step_count(),
            "train": last("train")?,
            "validation": last("validation")?,
        });
        println!("{result}");
        Ok(())
    }
}

/// Decoding threads: as many as asked for, else one a core.
pub(crate) fn workers(config: &Config) -> usize {
    config.run.workers.unwrap_or_else(data::cores)
}

/// What was asked for, or what suits the device: no more than there are samples.
fn batch_size(config: &Config, device: Device, samples: u64) -> Result<usize> {
    let wanted = config.train.batch_size.unwrap_or(match (device, config.preset) {
        (Device::Cpu, pipeline::Preset::In128) => 32,
        (Device::Cpu, _) => 64,
        _ => 200,
    });
    if wanted as u64 <= samples {
        return Ok(wanted);
    }
    if config.train.batch_size.is_some() || samples < 2 {
        return Err(usage!(
            "a batch of {wanted} needs as many samples, the shards have {samples}\n  hint: --batch-size {}, or more shards",
            samples.max(2)
        ));
    }
    Ok(samples as usize)
}

/// The published length of training for this kind of data.
fn default_epochs(config: &Config) -> f64 {
    match config.preset {
        pipeline::Preset::In128 => 50.0,
        _ => 300.0,
    }
}

/// Updates of the whole run; the last batch of an epoch goes on in the next one.
fn steps(config: &Config, batch_size: usize, samples: u64) -> u64 {
    let epochs = config.train.epochs.unwrap_or_else(|| default_epochs(config));
    let whole = (epochs * samples as f64 / batch_size as f64).floor() as u64;
    config.train.steps.unwrap_or(whole).max(1)
}
