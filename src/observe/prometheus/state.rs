//! The state of a training, as the page shows it.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use pipeline::BadSampleBudget;

use super::{
    buckets::Buckets,
    series::{Series, labels},
    table::{Id, Kind, METRICS, Metric},
};
use crate::metrics::{
    Bottleneck, DeviceNumbers, LoadingCosts, Number, ProbeNumbers, ProcessNumbers, Record, RemoteNumbers,
    TrainRecord, ValidationRecord,
};

/// The counters and gauges of a training. All functions may be called on any thread at any time; none waits for
/// another, and the page is made without a lock.
#[derive(Debug)]
pub struct State {
    /// The values of each metric, in the order of [`METRICS`].
    series: Box<[Series]>,
    step_seconds: Buckets,
    /// The step of the last record.
    recorded: AtomicU64,
}

/// What is trained, for the labels of `run_info`.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The name of the method.
    pub method: &'a str,
    /// The name of the preset.
    pub preset: &'a str,
    /// The name of the precision.
    pub precision: &'a str,
    /// The name of the device.
    pub device: &'a str,
    /// The steps of the whole run.
    pub steps: u64,
}

impl State {
    /// Returns the state of a process that goes on after `step` steps.
    pub fn new(about: About, step: u64) -> Self {
        let state = Self {
            series: METRICS.iter().map(|_| Series::default()).collect(),
            step_seconds: Buckets::default(),
            recorded: AtomicU64::new(step),
        };
        let build = labels(&[("version", env!("CARGO_PKG_VERSION")), ("commit", built::COMMIT)]);
        let About { method, preset, precision, device, steps } = about;
        let run = [("method", method), ("preset", preset), ("precision", precision), ("device", device)];
        state.of(Id::Build).set(&build, 1.0);
        state.of(Id::Run).set(&labels(&run), 1.0);
        state.of(Id::Step).set("", step as f64);
        state.of(Id::PlannedSteps).set("", steps as f64);
        state.of(Id::LastStep).set("", now());
        for counter in [Id::Steps, Id::Images, Id::DataWait, Id::Dropped] {
            state.of(counter).add("", 0.0);
        }
        state
    }

    /// Counts a step of `images` images, whose number is `step`, `seconds` after the one before it. The first step of a
    /// process has no one before it.
    pub fn step(&self, step: u64, images: u64, seconds: Option<f64>) {
        self.of(Id::Step).set("", step as f64);
        self.of(Id::Steps).add("", 1.0);
        self.of(Id::Images).add("", images as f64);
        self.of(Id::LastStep).set("", now());
        if let Some(seconds) = seconds {
            self.step_seconds.add(seconds);
        }
    }

    /// Takes the numbers of a record. Numbers that were not measured stay as they were.
    pub fn record(&self, record: &Record) {
        match record {
            Record::Train(train) => self.train(train),
            Record::Validation(validation) => self.validation(validation),
        }
    }

    /// Notes the chance level of a part of the loss.
    pub fn chance(&self, part: &str, chance: f64) {
        self.set_of(Id::LossChance, &[("task", part)], Some(chance));
    }

    /// Notes a checkpoint that was saved just now, in `seconds` seconds.
    pub fn saved(&self, seconds: f64) {
        self.of(Id::CheckpointSeconds).set("", seconds);
        self.of(Id::CheckpointTimestamp).set("", now());
    }

    /// Notes how many samples or batches wait for a stage.
    pub fn queue_depth(&self, stage: &'static str, depth: usize) {
        self.of(Id::QueueDepth).set(&labels(&[("stage", stage)]), depth as f64);
    }

    /// Notes how much of the budget is used up by `bad` samples among `seen`.
    pub fn budget(&self, budget: BadSampleBudget, bad: u64, seen: u64) {
        let most = match budget {
            BadSampleBudget::Rate { share, trial } => share * seen.max(trial) as f64,
            BadSampleBudget::Count(most) => most as f64,
        };
        self.of(Id::BadBudget).set("", if bad == 0 { 0.0 } else { bad as f64 / most });
    }

    /// Returns the number of images that all processes have trained on since this one started.
    pub fn images(&self) -> u64 {
        self.of(Id::Images).get("").unwrap_or(0.0) as u64
    }

    /// Counts what an observer has left out.
    pub fn dropped(&self, count: u64) {
        self.of(Id::Dropped).add("", count as f64);
    }

    /// Returns the page in the text format 0.0.4. Metrics without a value are left out.
    pub fn page(&self) -> String {
        let mut page = String::with_capacity(16 << 10);
        for Metric { id, name, kind, help, .. } in METRICS {
            let is_histogram = *kind == Kind::Histogram;
            let is_empty = if is_histogram { self.step_seconds.is_empty() } else { self.of(*id).is_empty() };
            if is_empty {
                continue;
            }
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
            if is_histogram {
                self.step_seconds.write(name, &mut page);
            } else {
                self.of(*id).write(name, &mut page);
            }
        }
        page
    }

    fn of(&self, id: Id) -> &Series {
        &self.series[id as usize]
    }

    fn set(&self, id: Id, number: Number) {
        self.set_of(id, &[], number);
    }

    fn set_of(&self, id: Id, named: &[(&str, &str)], number: Number) {
        if let Some(number) = number {
            self.of(id).set(&labels(named), number);
        }
    }

    fn train(&self, record: &TrainRecord) {
        let steps = record.step.saturating_sub(self.recorded.swap(record.step, Relaxed)) as f64;
        self.set(Id::Epoch, record.epoch);
        self.set_of(Id::Loss, &[("task", "total")], record.loss);
        self.set_of(Id::LossChance, &[("task", "total")], record.chance);
        for (name, part) in &record.parts {
            self.set_of(Id::Loss, &[("task", name)], Some(*part));
        }
        self.set(Id::LearningRate, record.lr);
        self.set(Id::Rate, record.images_per_second);
        self.set(Id::BadSamples, record.bad_samples);
        if let (Some(ms), Some(share)) = (record.step_ms, record.data_wait) {
            self.of(Id::DataWait).add("", share * steps * ms / 1e3);
        }
        if let Some(ms) = record.device.copy_ms {
            self.of(Id::Copy).add("", steps * ms / 1e3);
        }
        for (name, part) in
            [("data", Bottleneck::Data), ("copy", Bottleneck::Copy), ("compute", Bottleneck::Compute)]
        {
            let is_it = record.bound.map(|bound| f64::from(u8::from(bound == part)));
            self.set_of(Id::Bottleneck, &[("part", name)], is_it);
        }
        self.probe(record.probe);
        self.loading(record.loading);
        self.remote(record.remote);
        self.device(record.device);
        self.processes(record.processes);
    }

    fn probe(&self, ProbeNumbers { linear, mlp, linear_loss, mlp_loss }: ProbeNumbers) {
        for (head, accuracy, loss) in [("linear", linear, linear_loss), ("mlp", mlp, mlp_loss)] {
            self.set_of(Id::ProbeAccuracy, &[("head", head), ("samples", "batch")], accuracy);
            self.set_of(Id::ProbeLoss, &[("head", head)], loss);
        }
    }

    fn loading(&self, LoadingCosts { read_us, decode_us, augment_us, batch_us }: LoadingCosts) {
        let stages = [("read", read_us), ("decode", decode_us), ("augment", augment_us), ("batch", batch_us)];
        for (stage, us) in stages {
            self.set_of(Id::SampleCpu, &[("stage", stage)], us.map(|us| us / 1e6));
        }
    }

    fn remote(&self, numbers: RemoteNumbers) {
        let RemoteNumbers {
            remote_bytes,
            remote_requests,
            remote_retries,
            remote_hits,
            remote_misses,
            remote_wait,
        } = numbers;
        self.set(Id::RemoteBytes, remote_bytes);
        self.set(Id::RemoteRequests, remote_requests);
        self.set(Id::RemoteRetries, remote_retries);
        self.set_of(Id::RemoteParts, &[("from", "cache")], remote_hits);
        self.set_of(Id::RemoteParts, &[("from", "server")], remote_misses);
        self.set(Id::RemoteWait, remote_wait);
    }

    fn device(&self, numbers: DeviceNumbers) {
        let DeviceNumbers { copy_ms: _, tensor_memory_peak, gpu_utilization, gpu_memory } = numbers;
        self.set(Id::TensorMemory, tensor_memory_peak);
        self.set(Id::GpuUtilization, gpu_utilization);
        self.set(Id::GpuMemory, gpu_memory);
    }

    fn processes(&self, numbers: ProcessNumbers) {
        let ProcessNumbers { processes, data_ms_min, data_ms_median, data_ms_max, slowest_rank } = numbers;
        self.set(Id::Processes, processes);
        for (of, ms) in [("min", data_ms_min), ("median", data_ms_median), ("max", data_ms_max)] {
            self.set_of(Id::ProcessWait, &[("of", of)], ms.map(|ms| ms / 1e3));
        }
        self.set(Id::SlowestRank, slowest_rank);
    }

    fn validation(&self, record: &ValidationRecord) {
        self.set(Id::Epoch, record.epoch);
        for (head, accuracy) in [("linear", record.linear), ("mlp", record.mlp)] {
            self.set_of(Id::ProbeAccuracy, &[("head", head), ("samples", "validation")], accuracy);
        }
        self.set_of(Id::KnnAccuracy, &[("k", "20")], record.knn);
        self.set(Id::Rankme, record.rankme);
        self.set(Id::Cosine, record.cosine);
    }
}

/// Returns the Unix time in seconds.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let about = About { method: "amdim", preset: "c10", precision: "bf16", device: "cpu", steps: 100 };
        State::new(about, 10)
    }

    /// Returns the value of a series on the page.
    fn value(page: &str, series: &str) -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse().unwrap()
    }

    #[test]
    fn the_page_has_the_numbers_of_steps_and_records() {
        let state = state();
        for step in 11..=20 {
            state.step(step, 32, (step > 11).then_some(0.003));
        }
        let device = DeviceNumbers { copy_ms: Some(2.0), ..DeviceNumbers::default() };
        let train = TrainRecord {
            step: 20,
            loss: Some(1.5),
            chance: Some(f64::INFINITY),
            step_ms: Some(500.0),
            data_wait: Some(0.25),
            bound: Some(Bottleneck::Copy),
            device,
            parts: [("1t5".to_owned(), 0.5)].into(),
            ..TrainRecord::default()
        };
        state.record(&Record::Train(Box::new(train)));
        state.record(&Record::Validation(ValidationRecord {
            step: 20,
            knn: Some(0.5),
            ..Default::default()
        }));
        state.budget(BadSampleBudget::default(), 5, 500);
        state.dropped(2);
        let page = state.page();
        for (series, expected) in [
            ("step", 20.0),
            ("steps_total", 10.0),
            ("planned_steps", 100.0),
            ("images_total", 320.0),
            ("loss{task=\"total\"}", 1.5),
            ("loss{task=\"1t5\"}", 0.5),
            ("loss_chance{task=\"total\"}", f64::INFINITY),
            ("step_seconds_count", 9.0),
            ("step_seconds_bucket{le=\"0.002\"}", 0.0),
            ("step_seconds_bucket{le=\"0.004\"}", 9.0),
            ("data_wait_seconds_total", 1.25),
            ("copy_seconds_total", 0.02),
            ("bottleneck{part=\"data\"}", 0.0),
            ("bottleneck{part=\"copy\"}", 1.0),
            ("knn_accuracy{k=\"20\"}", 0.5),
            ("bad_samples_budget_used_ratio", 0.5),
            ("observer_dropped_total", 2.0),
            ("run_info{method=\"amdim\",preset=\"c10\",precision=\"bf16\",device=\"cpu\"}", 1.0),
        ] {
            let found = value(&page, &format!("amdim_stream_{series}"));
            assert!(
                found.total_cmp(&expected).is_eq() || (found - expected).abs() < 1e-9,
                "{series}: {found}"
            );
        }
        assert!(!page.contains("rankme"), "a metric without a value has no lines");
    }

    #[test]
    fn a_budget_is_a_share_of_the_samples_seen_or_a_number() {
        let used = |budget: &str, bad, seen| {
            let state = state();
            state.budget(budget.parse().unwrap(), bad, seen);
            value(&state.page(), "amdim_stream_bad_samples_budget_used_ratio")
        };
        assert!((used("1%", 5, 10) - 0.5).abs() < 1e-9, "a share counts from 1000 samples on");
        assert!((used("1%", 5, 10_000) - 0.05).abs() < 1e-9);
        assert!((used("4", 1, 10) - 0.25).abs() < 1e-9);
        assert!(used("0", 0, 10) == 0.0 && used("0", 1, 10).is_infinite());
    }

    /// Every thread that changes numbers, while another one makes pages: each is whole.
    #[test]
    fn a_page_is_whole_while_numbers_change() {
        let state = state();
        std::thread::scope(|scope| {
            for first in [11, 1011] {
                let state = &state;
                scope.spawn(move || (first..first + 1000).for_each(|step| state.step(step, 1, Some(0.01))));
            }
            for _ in 0..100 {
                assert!(state.page().ends_with("observer_dropped_total 0\n"));
            }
        });
        assert!((value(&state.page(), "amdim_stream_images_total") - 2000.0).abs() < 1e-9);
    }
}
