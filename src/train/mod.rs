//! The training loop.

pub mod optim;
pub mod plan;
pub mod schedule;

mod log;
mod records;
mod run_folder;
mod step;
mod stop;
mod threads;
mod trainer;
mod validation;

use anyhow::{Context, Result, ensure};
use pipeline::LoaderConfig;
use serde_json::{Value, json};
use shards::{Order, Position, ShardSet, Share};
use tch::Device;

use self::{
    log::Log,
    records::BadSamples,
    run_folder::{DIVERGED, RunFolder},
    stop::Stop,
    threads::Cost,
};
pub use self::{
    step::Found,
    stop::INTERRUPTED,
    trainer::{Broken, Judged, Outcome, Trainer},
};
use crate::{
    checkpoint::{self, DataIdentity, Retention, State},
    config::{Config, TrainConfig},
    data::{self, Data},
    feed::{Feed, Staged},
    model, stdout,
    sys::{self, Accelerator, Stream},
    usage,
};

/// Steps after which the numbers are looked at, if not earlier for a record or a checkpoint.
const CHECK_EVERY: u64 = 100;

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
    /// Threads of libtorch, where it computes on the CPU.
    threads: Option<usize>,
    /// The step of the last checkpoint.
    saved: Option<u64>,
    /// Records one after the other whose loss was at its chance level.
    at_chance: u32,
}

/// Trains as `asked` (flags over file), resuming what lies in the run folder.
pub fn run(asked: &toml::Table) -> Result<Ended> {
    let stop = Stop::install()?;
    let folder = RunFolder::of(&Config::out(asked)?);
    // What lies there is read under the lock; a new folder is made only when nothing can be refused any more.
    let early_lock = folder.path.is_dir().then(|| folder.take()).transpose()?;
    let resumed = folder.checkpoints.latest()?;
    let config = match &resumed {
        Some(loaded) => Config::resume(&toml::Table::try_from(&loaded.state.config)?, asked)?,
        None => Config::resolve(asked)?,
    };
    let mut run = Run::prepare(config, resumed.as_ref())?;
    if let (None, Some(path)) = (&resumed, &run.config.train.warm_start) {
        let loaded = checkpoint::find(path)?;
        loaded.restore_encoder(&run.trainer.model()).with_context(|| {
            format!(
                "cannot begin with its encoder\n  hint: the preset and sizes of that run: {}",
                sizes(&loaded.state.config)
            )
        })?;
    }
    let _lock = early_lock.map_or_else(|| folder.take(), Ok)?;
    if let Some(loaded) = resumed {
        folder.checkpoints.set_aside_after(loaded.state.step)?;
        run.trainer.restore(&loaded).context("cannot resume")?;
        run.position = loaded.state.position;
        run.saved = Some(loaded.state.step);
    }
    run.config.write(&folder.config)?;
    run.announce(&folder);
    let ended = run.train(&folder, &stop)?;
    run.report(&folder, ended)?;
    Ok(ended)
}

impl Run {
    fn prepare(mut config: Config, resumed: Option<&checkpoint::Loaded>) -> Result<Self> {
        let device = sys::device(config.run.device)?;
        let data = Data::open(&config.data)?;
        if let Some(loaded) = resumed {
            check_identity(loaded.state.data, identity(&data))?;
        }
        let batch_size = batch_size(&config, device, data.train.len())?;
        let steps = steps(&config, batch_size, data.train.len());
        config.train.batch_size = Some(batch_size);
        if batch_size < 2 * config.train.accumulate {
            return Err(usage!(
                "a batch of {batch_size} cannot be encoded in {} parts of two samples or more\n  hint: --accumulate {} or less",
                config.train.accumulate,
                batch_size / 2
            ));
        }
        config.train.precision = config.train.precision.on(device);
        config.train.precision.apply()?;
        if config.train.precision.is_emulated(device) {
            tracing::warn!(
                "{} has no instructions for bf16, which makes a step many times slower than f32",
                sys::name(device)
            );
        }
        config.train.epochs =
            config.train.epochs.or(config.train.steps.is_none().then(|| default_epochs(&config)));
        // A step is recorded on a queue that is not the device's default one: everything is done on it.
        let queue = || Ok(Stream::new(Accelerator::of(device))?.make_current()?);
        sys::within_memory(device, || "anything at all".to_owned(), Vec::new, queue)?;
        let trainer = Trainer::new(&config, data.classes, device, steps)?;
        let cost = Cost {
            bytes: data.train.bytes() as f64 / data.train.len() as f64,
            macs: trainer.macs(batch_size) / batch_size as f64,
        };
        let threads = threads::share(config.run.threads, cost, device);
        let position = Position::default();
        Ok(Self {
            config,
            data,
            device,
            trainer,
            position,
            steps,
            batch_size,
            threads,
            saved: None,
            at_chance: 0,
        })
    }

    fn announce(&self, folder: &RunFolder) {
        let (samples, labelled, step) =
            (self.data.train.len(), self.data.train.labelled(), self.trainer.step_count());
        let classes = match self.data.classes {
            None => "no labels".to_owned(),
            Some(classes) if labelled < samples => format!("{labelled} labelled, classes: {classes}"),
            Some(classes) => format!("classes: {classes}"),
        };
        let standing = match step {
            0 => "run folder",
            _ if step >= self.steps => "already finished:",
            _ => "resuming",
        };
        tracing::info!(
            "{samples} samples ({classes}), shards: {}; {}; {standing} `{}`, step {step} of {}",
            self.data.train.shards().len(),
            self.means(),
            folder.path.display(),
            self.steps
        );
    }

    /// What is trained with, in words.
    fn means(&self) -> String {
        format!(
            "batches of {} on {} in {}; threads: {} decode{}",
            self.batch_size,
            sys::name(self.device),
            self.config.train.precision,
            data::workers(&self.config),
            self.threads.map_or(String::new(), |threads| format!(", {threads} compute")),
        )
    }

    fn feed(&self) -> Result<Feed> {
        let order = Order { seed: self.config.seed, shuffle: self.config.data.shuffle, epochs: None };
        let samples = self.data.train.samples(order, Share::default(), self.position);
        let recipe = self.config.method.recipe(self.config.preset);
        let loader = LoaderConfig {
            seed: self.config.seed,
            drop_last: true,
            ..data::loader(&self.config, self.batch_size)
        };
        Feed::spawn(samples, recipe, self.config.preset.normalization(), &loader, self.device)
    }

    /// Steps until the last one or a signal.
    fn train(&mut self, folder: &RunFolder, stop: &Stop) -> Result<Ended> {
        let mut log = Log::open(folder, self.trainer.step_count(), self.steps, self.device)?;
        let faults = self.data.validation.iter().flat_map(ShardSet::faults).chain(self.data.train.faults());
        let mut bad = BadSamples::open(&folder.bad_samples, faults)?;
        if self.trainer.step_count() >= self.steps {
            return Ok(Ended::Finished);
        }
        let mut feed = self.for_batches(|| self.feed())?;
        while self.trainer.step_count() < self.steps {
            let staged = match feed.next_unless(stop.channel()) {
                Some(Ok(staged)) => staged,
                Some(Err(error)) => {
                    bad.write(&feed.finish())?;
                    return self.for_batches(|| Err(error));
                }
                None => break, // an endless stream ends only when asked to
            };
            self.step(&staged, &mut feed, folder, &mut log, &mut bad)?;
            if self.validation_due() {
                self.check(folder)?;
                self.validate(folder, stop, &mut log, &mut bad)?;
            }
            if stop.requested() {
                break;
            }
        }
        self.save(folder)?;
        bad.summarize();
        Ok(if self.trainer.step_count() == self.steps { Ended::Finished } else { Ended::Interrupted })
    }

    /// One update with its record and, where it is due, its checkpoint.
    fn step(
        &mut self,
        staged: &Staged,
        feed: &mut Feed,
        folder: &RunFolder,
        log: &mut Log,
        bad: &mut BadSamples,
    ) -> Result<()> {
        bad.write(&staged.skipped)?;
        let step = self.trainer.step_count() + 1;
        let is_recorded = self.trainer.is_recorded();
        let outcome = sys::within_memory(
            self.device,
            || format!("batches of {}", self.batch_size),
            || Self::cures(&self.config.train, self.batch_size, is_recorded),
            || self.trainer.step(&staged.views),
        )
        .with_context(|| format!("step {step} failed"))?;
        self.position = staged.views.next;
        log.count(&outcome, staged);
        let is_last = step == self.steps;
        if step.is_multiple_of(CHECK_EVERY) {
            self.check(folder)?;
        }
        if is_last || step.is_multiple_of(self.config.run.log_every) {
            self.check(folder)?;
            log.train(step, self.epoch(), bad.count(), feed.take_waited()?, feed.copying_time())?;
            self.warn_of_chance(log.loss());
        }
        if is_last || step.is_multiple_of(self.config.run.checkpoint_every) {
            self.save(folder)?;
        }
        Ok(())
    }

    /// Does what makes batches, before they are trained on; where memory is short it says so.
    fn for_batches<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let what = || format!("two batches of {}, before they are trained on", self.batch_size);
        let cures = || vec![format!("a new run (--out) with --batch-size {}", self.batch_size / 2)];
        sys::within_memory(self.device, what, cures, work)
    }

    /// What makes a step need less memory, given the settings and the batch.
    fn cures(config: &TrainConfig, batch_size: usize, is_recorded: bool) -> Vec<String> {
        let mut cures = Vec::new();
        if is_recorded {
            cures.push("--cuda-graph off, as a graph keeps its memory".to_owned());
        }
        if !config.checkpoint_blocks {
            cures.push("--checkpoint-blocks, for the same results in more time".to_owned());
        }
        if batch_size >= 4 * config.accumulate {
            cures.push(format!("a new run (--out) with --accumulate {}", 2 * config.accumulate));
        }
        if batch_size >= 4 {
            cures.push(format!("one with --batch-size {}", batch_size / 2));
        }
        cures
    }

    /// Waits for the steps so far, and refuses to go on from numbers that are not finite.
    fn check(&mut self, folder: &RunFolder) -> Result<()> {
        self.trainer.check().map_err(|broken| folder.write_broken_batch(&broken, &self.data))
    }

    /// Epochs gone by, with their fraction.
    fn epoch(&self) -> f64 {
        self.position.epoch as f64 + self.position.offset as f64 / self.data.train.len() as f64
    }

    /// Writes a checkpoint, unless this step has one.
    fn save(&mut self, folder: &RunFolder) -> Result<()> {
        let step = self.trainer.step_count();
        if self.saved == Some(step) {
            return Ok(());
        }
        self.check(folder)?;
        ensure!(
            self.trainer.is_finite(),
            "the parameters are not finite after step {step}, which is not saved\n  {DIVERGED}"
        );
        let state = State {
            step,
            position: self.position,
            data: identity(&self.data),
            classes: self.data.classes,
            config: self.config.clone(),
        };
        let retention = Retention { keep: self.config.run.keep, keep_every: self.config.run.keep_every };
        folder.checkpoints.save(&state, &self.trainer.model(), &self.trainer.moments(), retention)?;
        self.saved = Some(step);
        Ok(())
    }

    /// One JSON object on stdout: where the run stands and its last numbers.
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
        stdout::print(&result)
    }
}

/// The flags that make an encoder of this size.
fn sizes(config: &Config) -> String {
    let model::amdim::Config { ndf, n_rkhs, n_depth, use_bn } = config.encoder;
    format!("--preset {} --ndf {ndf} --n-rkhs {n_rkhs} --n-depth {n_depth} --use-bn {use_bn}", config.preset)
}

fn identity(data: &Data) -> DataIdentity {
    DataIdentity { digest: data.train.digest(), samples: data.train.len() }
}

/// A position means nothing in another set.
fn check_identity(then: DataIdentity, now: DataIdentity) -> Result<()> {
    if then == now {
        return Ok(());
    }
    if then.samples == 0 {
        return Err(usage!(
            "what lies there was imported, not trained here\n  hint: another folder with --out, and --warm-start for the one that \
             was imported"
        ));
    }
    Err(usage!(
        "the training shards are not those that this run was started on ({} samples then, {} now)\n  hint: give a run \
         on other shards another folder with --out",
        then.samples,
        now.samples
    ))
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
    if samples < 2 {
        return Err(usage!(
            "the shards have {samples} sample, but negatives come from other images\n  hint: name shards of at least 2"
        ));
    }
    if config.train.batch_size.is_some() {
        return Err(usage!(
            "a batch of {wanted} needs as many samples, the shards have {samples}\n  hint: --batch-size {samples}, or \
             more shards"
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
