//! The log of a run: sums over the steps between two records, and the records.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use pipeline::{StageStats, Stats};

use super::{line::LineWatch, session::Run, trainer::StepOutcome};
use crate::run::folder::RunFolder;
use crate::{
    feed::{DeviceBatch, FeedTimes},
    metrics::{
        self, Choices, DeviceNumbers, LoadingCosts, Made, PendingMetrics, PendingScores, ProcessNumbers,
        Record, RecordFile, ScoreMetrics, Shares, Sink, Spread, StepMetrics, StepNumbers, Stragglers,
        TrainRecord, ValidationRecord, Verdict,
    },
    notice,
    world::World,
};
use torchkit::{Accelerator, Moment, Monitor};

/// Sums the numbers of steps and writes records to every sink.
pub(crate) struct Log {
    /// Empty on a process that does not lead.
    sinks: Vec<Box<dyn Sink>>,
    world: World,
    choices: Choices,
    line: LineWatch,
    window: Window,
    /// The record to be written next.
    due: Option<Due>,
    accelerator: Option<Accelerator>,
    monitor: Option<Monitor>,
    /// The time of copies up to the last record.
    copied: Duration,
    last_loss: Option<f64>,
    stragglers: Stragglers,
    /// The last validation of an earlier process.
    validated: Option<ValidationRecord>,
}

/// The steps since the last record.
struct Window {
    /// Sums of the steps' numbers, on the device.
    sums: Option<StepMetrics>,
    steps: f64,
    images: f64,
    chance: f64,
    lr: f64,
    since: Moment,
    /// Begin and end of what was not training.
    excluded: Vec<(Moment, Moment)>,
    stats: Option<Stats>,
    /// Those of the last step.
    scores: Option<ScoreMetrics>,
}

/// A record that waits for the numbers of its steps.
struct Due {
    step: u64,
    epoch: f64,
    bad: usize,
    window: Window,
    end: Moment,
    sums: Option<PendingMetrics>,
    scores: Option<PendingScores>,
}

impl Window {
    fn new(since: Moment) -> Self {
        Self {
            sums: None,
            steps: 0.0,
            images: 0.0,
            chance: 0.0,
            lr: 0.0,
            since,
            excluded: Vec::new(),
            stats: None,
            scores: None,
        }
    }

    fn add(&mut self, metrics: &StepMetrics) {
        match &mut self.sums {
            Some(sums) => sums.add(metrics),
            none => *none = Some(metrics.shared()),
        }
    }

    /// Returns the time that the device trained until `end`.
    fn seconds(&self, end: &Moment) -> Result<f64> {
        let mut time = self.since.until(end)?;
        for (begin, end) in &self.excluded {
            time = time.saturating_sub(begin.until(end)?);
        }
        Ok(time.as_secs_f64().max(1e-9))
    }
}

impl Log {
    /// Continues the records of a run at its step. They go to `displays` as well. A process that does not lead writes
    /// nothing.
    pub(crate) fn open(folder: &RunFolder, run: &Run, displays: Vec<Box<dyn Sink>>) -> Result<Self> {
        let step = run.trainer.step_count();
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if run.world.is_lead() {
            sinks.push(Box::new(RecordFile::open(&folder.metrics, step)?));
            sinks.extend(displays);
        }
        let last = |records: Vec<Record>| records.iter().rev().find_map(Record::validation).copied();
        let validated = run.world.from_lead(|| Ok(last(metrics::read(&folder.metrics)?)))?;
        let accelerator = Accelerator::of(run.device);
        Ok(Self {
            sinks,
            world: run.world,
            choices: run.choices(),
            line: LineWatch::of(run),
            validated,
            window: Window::new(Moment::queue(accelerator)?),
            due: None,
            accelerator,
            monitor: Monitor::of(run.device),
            copied: Duration::ZERO,
            last_loss: None,
            stragglers: Stragglers::default(),
        })
    }

    /// Adds a step, whose number is `step`.
    pub(crate) fn count(&mut self, step: u64, outcome: StepOutcome, batch: &DeviceBatch) {
        let images = self.world.samples(batch.views.labels.size()[0]);
        let made = Made { step, images: images.cast_unsigned(), ready: batch.ready };
        self.sinks.iter_mut().for_each(|sink| sink.step(made));
        let window = &mut self.window;
        window.steps += 1.0;
        window.images += images as f64;
        window.chance = outcome.chance;
        window.lr = outcome.lr;
        window.stats = Some(batch.stats);
        window.scores = outcome.scores;
        window.add(&outcome.metrics);
    }

    /// Returns the time at which the device has done the work that is queued now.
    pub(crate) fn moment(&self) -> Result<Moment> {
        Ok(Moment::queue(self.accelerator)?)
    }

    /// Excludes the time since `begin`, which was not spent training, from the rates.
    pub(crate) fn exclude(&mut self, begin: Moment) -> Result<()> {
        let end = self.moment()?;
        self.window.excluded.push((begin, end));
        Ok(())
    }

    /// Ends the steps of a record, and queues a read of their numbers, which [`write_due`](Self::write_due)
    /// writes.
    pub(crate) fn close(&mut self, step: u64, epoch: f64, bad: usize) -> Result<()> {
        let (end, next) = (self.moment()?, Window::new(self.moment()?));
        let mut window = std::mem::replace(&mut self.window, next);
        let sums = window.sums.take();
        if let Some(sums) = &sums {
            self.world.average(|| vec![sums.values.shallow_clone()])?;
        }
        let sums = sums.map(|sums| sums.queue_read(self.accelerator)).transpose()?;
        let scores = window.scores.take().map(|scores| scores.joined(self.world)).transpose()?;
        let scores = scores.map(|scores| scores.queue_read(self.accelerator)).transpose()?;
        self.due = Some(Due { step, epoch, bad, window, end, sums, scores });
        Ok(())
    }

    /// Waits for the steps of the record that is due, and writes it. Returns whether there was one. `times`
    /// is called once the steps are over.
    pub(crate) fn write_due(&mut self, times: impl FnOnce() -> Result<FeedTimes>) -> Result<bool> {
        let Some(Due { step, epoch, bad, window, end, sums, scores }) = self.due.take() else {
            return Ok(false);
        };
        let numbers = sums.map(|sums| sums.mean(window.steps)).transpose()?;
        let seconds = window.seconds(&end)?;
        let FeedTimes { waited, copied } = times()?;
        let since = copied.saturating_sub(std::mem::replace(&mut self.copied, copied));
        let shares =
            Shares { waited: waited.as_secs_f64() / seconds, copying: since.as_secs_f64() / seconds };
        let step_ms = 1e3 * seconds / window.steps;
        let processes = self.process_numbers(shares.waited * step_ms, step_ms)?;
        let (remote, line) = self.line.since(waited.as_secs_f64(), epoch);
        let Verdict { bound, share, cure } = Verdict::of(shares, line, self.choices);
        self.last_loss = numbers.as_ref().map(|numbers| numbers.loss);
        self.write(&Record::Train(Box::new(TrainRecord {
            step,
            epoch: Some(epoch),
            loss: self.last_loss,
            chance: Some(window.chance),
            lr: Some(window.lr),
            images_per_second: Some(window.images / seconds),
            step_ms: Some(step_ms),
            data_wait: Some(shares.waited),
            bound: Some(bound),
            bound_share: Some(share),
            cure,
            bad_samples: Some(bad as f64),
            probe: numbers.as_ref().map(|numbers| numbers.probe).unwrap_or_default(),
            loading: window.stats.as_ref().map(loading_costs).unwrap_or_default(),
            remote,
            device: self.device_numbers(since, window.steps)?,
            processes,
            parts: numbers.map(finite_parts).unwrap_or_default(),
        })))?;
        if let Some(scores) = scores {
            let scores = scores.read()?;
            self.sinks.iter_mut().for_each(|sink| sink.scores(step, &scores));
        }
        Ok(true)
    }

    /// Returns the numbers of all processes, of which each has waited for its batches for `waited` milliseconds of a
    /// step. Warns of one that makes the others wait.
    fn process_numbers(&mut self, waited: f64, step: f64) -> Result<ProcessNumbers> {
        if !self.world.has_others() {
            return Ok(ProcessNumbers::default());
        }
        let waited: Vec<_> = self.world.numbers([waited])?.into_iter().map(|[waited]| waited).collect();
        let spread = Spread::of(&waited);
        if let Some(slowdown) = self.stragglers.add(spread, step) {
            let warning = notice!(
                "{} makes every step {slowdown:.1} times longer: it waits {:.0} ms a step for data, the median process {:.0} ms",
                self.world.members()[spread.slowest], spread.max, spread.median;
                "check the disk and the load of its machine; give it more decoding threads with --workers"
            );
            tracing::warn!("{warning}");
        }
        Ok(ProcessNumbers {
            processes: Some(waited.len() as f64),
            data_ms_min: Some(spread.min),
            data_ms_median: Some(spread.median),
            data_ms_max: Some(spread.max),
            slowest_rank: Some(spread.slowest as f64),
        })
    }

    /// Returns the numbers of a GPU; none on the CPU.
    fn device_numbers(&self, copying: Duration, steps: f64) -> Result<DeviceNumbers> {
        let Some(accelerator) = self.accelerator else { return Ok(DeviceNumbers::default()) };
        let load = self.monitor.as_ref().and_then(Monitor::load);
        Ok(DeviceNumbers {
            copy_ms: Some(1e3 * copying.as_secs_f64() / steps),
            tensor_memory_peak: Some(torchkit::peak_memory(accelerator)? as f64),
            gpu_utilization: load.map(|load| load.utilization),
            gpu_memory: load.map(|load| load.used as f64),
        })
    }

    /// Returns the loss of the last record.
    pub(crate) fn loss(&self) -> Option<f64> {
        self.last_loss
    }

    /// Returns whether an earlier process validated this step, with neighbours where they are wanted.
    pub(crate) fn has_validation(&self, step: u64, by_neighbours: bool) -> bool {
        self.validated.is_some_and(|record| record.step == step && (record.knn.is_some() || !by_neighbours))
    }

    /// Writes the record of a validation.
    pub(crate) fn write_validation(&mut self, record: ValidationRecord) -> Result<()> {
        self.write(&Record::Validation(record))
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.write(record))
    }
}

/// Returns the parts of the loss that are finite.
fn finite_parts(numbers: StepNumbers) -> BTreeMap<String, f64> {
    let finite = numbers.parts.into_iter().filter(|(_, value)| value.is_finite());
    finite.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the CPU microseconds of a sample in each stage of the pipeline, averaged over this process so far.
fn loading_costs(stats: &Stats) -> LoadingCosts {
    let of = |stage: StageStats| Some(stage.cpu_us as f64 / stats.samples.max(1) as f64);
    LoadingCosts {
        read_us: of(stats.read),
        decode_us: of(stats.decode),
        augment_us: of(stats.augment),
        batch_us: of(stats.batch),
    }
}
