//! Sums over the steps between two records.

use std::time::{Duration, Instant};

use anyhow::Result;
use pipeline::Stats;
use tch::Device;

use super::{
    bottleneck::{Choices, Shares, Verdict},
    step::{PendingMetrics, StepMetrics},
    trainer::Outcome,
};
use crate::run::folder::RunFolder;
use crate::{
    feed::Staged,
    metrics::{JsonLines, Progress, Record, Sink, read_lines},
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
    /// The step of the last validation, and whether neighbours were asked then.
    validated: Option<(u64, bool)>,
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

    fn values(&self, seconds: f64) -> Vec<(&'static str, f64)> {
        let mut values = vec![
            ("images_per_second", self.images / seconds),
            ("step_ms", 1e3 * seconds / self.steps),
            ("chance", self.chance),
            ("lr", self.lr),
        ];
        if let Some(stats) = &self.stats {
            values.extend(stage_times(stats));
        }
        values
    }
}

impl Log {
    /// Continues the records of a run that stands at `step` of `steps`. A quiet one shows nothing.
    pub(crate) fn open(
        folder: &RunFolder,
        (step, steps): (u64, u64),
        device: Device,
        choices: Choices,
        quiet: bool,
    ) -> Result<Self> {
        let lines =
            JsonLines::open(&folder.metrics, |line| line["step"].as_u64().is_some_and(|then| then <= step))?;
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(lines)];
        if !quiet {
            sinks.push(Box::new(Progress::new(step, steps)));
        }
        let lines = read_lines(&folder.metrics)?;
        let validated = lines.iter().rev().find(|line| line["kind"] == "validation");
        let validated = validated.and_then(|line| Some((line["step"].as_u64()?, line["knn"].is_number())));
        Ok(Self {
            sinks,
            choices,
            validated,
            window: Window::new(),
            due: None,
            accelerator: Accelerator::of(device),
            monitor: Monitor::of(device),
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

    /// Waits for the steps of the record that is due, and writes it; gives whether there is one. `waited` is the time that
    /// training has waited for data since the last record, `copied` that of all copies to the device so far.
    pub(crate) fn write_due(&mut self, waited: impl FnOnce() -> Result<[Duration; 2]>) -> Result<bool> {
        let Some(Due { step, epoch, bad, window, sums }) = self.due.take() else { return Ok(false) };
        let sums = sums.map_or(Ok(Vec::new()), |sums| sums.read())?;
        // The device has come to the end of its steps by now, and no further than the next one.
        let seconds = window.seconds();
        self.window.since = Instant::now();
        let [waited, copied] = waited()?;
        let since = copied.saturating_sub(std::mem::replace(&mut self.copied, copied));
        let shares =
            Shares { waited: waited.as_secs_f64() / seconds, copying: since.as_secs_f64() / seconds };
        let mut values = vec![("epoch", epoch), ("bad_samples", bad as f64), ("data_wait", shares.waited)];
        values.extend(window.values(seconds));
        values.extend(sums.into_iter().map(|(name, sum)| (name, sum / window.steps)));
        values.extend(self.device_values(since, window.steps)?);
        let Verdict { bound, share, cure } = Verdict::of(shares, self.choices);
        values.push(("bound_share", share));
        let texts = [Some(("bound", bound.name().to_owned())), cure.map(|cure| ("cure", cure))];
        let record = Record { kind: "train", step, values, texts: texts.into_iter().flatten().collect() };
        self.last_loss = record.get("loss");
        self.write(&record)?;
        Ok(true)
    }

    /// What there is to say of a GPU.
    fn device_values(&self, copying: Duration, steps: f64) -> Result<Vec<(&'static str, f64)>> {
        let Some(accelerator) = self.accelerator else { return Ok(Vec::new()) };
        let mut values = vec![
            ("copy_ms", 1e3 * copying.as_secs_f64() / steps),
            ("tensor_memory_peak", torchkit::peak_memory(accelerator)? as f64),
        ];
        if let Some((utilization, memory)) = self.monitor.as_ref().and_then(Monitor::figures) {
            values.extend([("gpu_utilization", utilization), ("gpu_memory", memory as f64)]);
        }
        Ok(values)
    }

    /// The loss of the last record.
    pub(crate) fn loss(&self) -> Option<f64> {
        self.last_loss
    }

    /// Whether this step was validated, by neighbours as well where they are wanted.
    pub(crate) fn has_validation(&self, step: u64, by_neighbours: bool) -> bool {
        self.validated
            .is_some_and(|(then, with_neighbours)| then == step && (with_neighbours || !by_neighbours))
    }

    /// Writes what a validation found.
    pub(crate) fn validation(&mut self, step: u64, epoch: f64, found: &[(&'static str, f64)]) -> Result<()> {
        let mut values = vec![("epoch", epoch)];
        values.extend(found);
        self.write(&Record { kind: "validation", step, values, texts: Vec::new() })
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.write(record))
    }
}

/// CPU microseconds that a sample has cost each stage of the pipeline, over the run so far.
fn stage_times(stats: &Stats) -> [(&'static str, f64); 4] {
    let stages = [
        ("read_us", stats.read),
        ("decode_us", stats.decode),
        ("augment_us", stats.augment),
        ("batch_us", stats.batch),
    ];
    stages.map(|(name, stage)| (name, stage.cpu_us as f64 / stats.samples.max(1) as f64))
}
