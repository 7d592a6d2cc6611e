//! Sums over the steps between two records.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use pipeline::{StageStats, Stats};

use super::{
    bottleneck::{Choices, Shares, Verdict},
    session::Run,
    step::{PendingMetrics, StepMetrics, StepNumbers},
    trainer::Outcome,
};
use crate::run::folder::RunFolder;
use crate::{
    feed::{FeedTimes, Staged},
    metrics::{
        self, DeviceNumbers, LoadingCosts, Progress, Record, RecordFile, Sink, TrainRecord, ValidationRecord,
    },
};
use torchkit::{Accelerator, Monitor};

/// Gathers what steps find and writes records to every sink.
pub(crate) struct Log {
    sinks: Vec<Box<dyn Sink>>,
    choices: Choices,
    window: Window,
    /// The record that is to be written next.
    due: Option<Due>,
    accelerator: Option<Accelerator>,
    monitor: Option<Monitor>,
    /// Time that copying has taken up to the last record.
    copied: Duration,
    last_loss: Option<f64>,
    /// The last validation of an earlier process.
    validated: Option<ValidationRecord>,
}

/// The steps since the last record.
struct Window {
    /// Sums of what the steps found, on the device.
    sums: Option<StepMetrics>,
    steps: f64,
    images: f64,
    chance: f64,
    lr: f64,
    since: Instant,
    excluded: Duration,
    stats: Option<Stats>,
}

/// A record that waits for the numbers of its steps.
struct Due {
    step: u64,
    epoch: f64,
    bad: usize,
    window: Window,
    sums: Option<PendingMetrics>,
}

impl Window {
    fn new() -> Self {
        Self {
            sums: None,
            steps: 0.0,
            images: 0.0,
            chance: 0.0,
            lr: 0.0,
            since: Instant::now(),
            excluded: Duration::ZERO,
            stats: None,
        }
    }

    fn add(&mut self, found: &StepMetrics) {
        match &mut self.sums {
            Some(sums) => sums.add(found),
            none => *none = Some(found.shared()),
        }
    }

    fn seconds(&self) -> f64 {
        self.since.elapsed().saturating_sub(self.excluded).as_secs_f64().max(1e-9)
    }
}

impl Log {
    /// Continues the records of a run from the step on at which it stands. A quiet one shows nothing.
    pub(crate) fn open(folder: &RunFolder, run: &Run, quiet: bool) -> Result<Self> {
        let step = run.trainer.step_count();
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(RecordFile::open(&folder.metrics, step)?)];
        if !quiet {
            sinks.push(Box::new(Progress::new(step, run.steps)));
        }
        let records = metrics::read(&folder.metrics)?;
        Ok(Self {
            sinks,
            choices: run.choices(),
            validated: records.iter().rev().find_map(Record::validation).copied(),
            window: Window::new(),
            due: None,
            accelerator: Accelerator::of(run.device),
            monitor: Monitor::of(run.device),
            copied: Duration::ZERO,
            last_loss: None,
        })
    }

    /// Takes in a step, the run's `step`th.
    pub(crate) fn count(&mut self, step: u64, outcome: &Outcome, staged: &Staged) {
        self.sinks.iter_mut().for_each(|sink| sink.step(step));
        let window = &mut self.window;
        window.steps += 1.0;
        window.images += staged.views.labels.size()[0] as f64;
        window.chance = outcome.chance;
        window.lr = outcome.lr;
        window.stats = Some(staged.stats);
        window.add(&outcome.found);
    }

    /// Leaves time that was not spent training out of the rates.
    pub(crate) fn exclude(&mut self, time: Duration) {
        self.window.excluded += time;
    }

    /// Ends a record's steps, and asks for what they found: [`write_due`](Self::write_due) writes it.
    pub(crate) fn close(&mut self, step: u64, epoch: f64, bad: usize) -> Result<()> {
        let mut window = std::mem::replace(&mut self.window, Window::new());
        let sums = window.sums.take().map(|sums| sums.ask(self.accelerator)).transpose()?;
        self.due = Some(Due { step, epoch, bad, window, sums });
        Ok(())
    }

    /// Waits for the steps of the record that is due, and writes it; gives whether there is one. `times` are asked for once the
    /// steps are over.
    pub(crate) fn write_due(&mut self, times: impl FnOnce() -> Result<FeedTimes>) -> Result<bool> {
        let Some(Due { step, epoch, bad, window, sums }) = self.due.take() else { return Ok(false) };
        let found = sums.map(|sums| sums.means(window.steps)).transpose()?;
        // The device has come to the end of its steps by now, and no further than the next one.
        let seconds = window.seconds();
        self.window.since = Instant::now();
        let FeedTimes { waited, copied } = times()?;
        let since = copied.saturating_sub(std::mem::replace(&mut self.copied, copied));
        let shares =
            Shares { waited: waited.as_secs_f64() / seconds, copying: since.as_secs_f64() / seconds };
        let Verdict { bound, share, cure } = Verdict::of(shares, self.choices);
        self.last_loss = found.as_ref().map(|found| found.loss);
        self.write(&Record::Train(Box::new(TrainRecord {
            step,
            epoch: Some(epoch),
            loss: self.last_loss,
            chance: Some(window.chance),
            lr: Some(window.lr),
            images_per_second: Some(window.images / seconds),
            step_ms: Some(1e3 * seconds / window.steps),
            data_wait: Some(shares.waited),
            bound: Some(bound),
            bound_share: Some(share),
            cure,
            bad_samples: Some(bad as f64),
            probe: found.as_ref().map(|found| found.probe).unwrap_or_default(),
            loading: window.stats.as_ref().map(loading_costs).unwrap_or_default(),
            device: self.device_numbers(since, window.steps)?,
            parts: found.map(finite_parts).unwrap_or_default(),
        })))?;
        Ok(true)
    }

    /// What there is to say of a GPU.
    fn device_numbers(&self, copying: Duration, steps: f64) -> Result<DeviceNumbers> {
        let Some(accelerator) = self.accelerator else { return Ok(DeviceNumbers::default()) };
        let figures = self.monitor.as_ref().and_then(Monitor::figures);
        Ok(DeviceNumbers {
            copy_ms: Some(1e3 * copying.as_secs_f64() / steps),
            tensor_memory_peak: Some(torchkit::peak_memory(accelerator)? as f64),
            gpu_utilization: figures.map(|(utilization, _)| utilization),
            gpu_memory: figures.map(|(_, memory)| memory as f64),
        })
    }

    /// The loss of the last record.
    pub(crate) fn loss(&self) -> Option<f64> {
        self.last_loss
    }

    /// Whether this step was validated, by neighbours as well where they are wanted.
    pub(crate) fn has_validation(&self, step: u64, by_neighbours: bool) -> bool {
        self.validated.is_some_and(|found| found.step == step && (found.knn.is_some() || !by_neighbours))
    }

    /// Writes what a validation found.
    pub(crate) fn validation(&mut self, found: ValidationRecord) -> Result<()> {
        self.write(&Record::Validation(found))
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.write(record))
    }
}

/// The parts of the loss that are numbers.
fn finite_parts(found: StepNumbers) -> BTreeMap<String, f64> {
    let finite = found.parts.into_iter().filter(|(_, value)| value.is_finite());
    finite.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// CPU microseconds that a sample has cost each stage of the pipeline, over the run so far.
fn loading_costs(stats: &Stats) -> LoadingCosts {
    let of = |stage: StageStats| Some(stage.cpu_us as f64 / stats.samples.max(1) as f64);
    LoadingCosts {
        read_us: of(stats.read),
        decode_us: of(stats.decode),
        augment_us: of(stats.augment),
        batch_us: of(stats.batch),
    }
}
