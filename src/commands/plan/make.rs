//! Makes a plan: counts the data, measures loading and steps, and computes the forecast.

use std::time::Duration;

use anyhow::{Context, Result};
use dataset::Inventory;
use pipeline::DecodeMode;
use serde_json::json;
use tch::Device;

use super::{
    args::Args,
    disk::Disk,
    forecast::{Costs, Forecast, Remedy, Work},
    loading::{self, Loading},
    origins::{self, Flat},
    outcome::{ByBatch, Findings, MemoryNeeds, Plan, State, Threads},
    processes::Processes,
    server::Server,
    standing::{Standing, StartingPoint},
    step::{Measured, Memory, Steps},
    words,
};
use crate::{
    config::{Config, Layers},
    data, device,
    metrics::Bottleneck,
    run::{enlarged::Enlarged, folder::RunFolder, promote},
    stdout,
    train::Run,
    world::World,
};
use torchkit::{Accelerator, Choice, MemoryWatch};

/// The duration of the measurement of loading.
const LOADING: Duration = Duration::from_millis(2_500);
/// The duration of the measurement of loading with `--decode fast`.
const LOADING_FAST: Duration = Duration::from_millis(1_200);

/// Prints the plan of a run, in words and as one JSON object.
pub fn run(args: &Args) -> Result<()> {
    let plan = Plan::make(&args.train.layers()?, args)?;
    words::say(&plan)?;
    stdout::print(&serde_json::to_value(&plan).context("cannot write the plan as JSON")?)
}

impl Plan {
    fn make(asked: &Layers, args: &Args) -> Result<Self> {
        args.unattended.watching.check()?;
        let together = args.together()?;
        let merged = asked.merged();
        let folder = RunFolder::of(&Config::out(&merged)?);
        let StartingPoint { config, saved, mut standing } =
            StartingPoint::read(&folder, &merged, &args.unattended)?;
        let resolved = origins::flat(&config)?;
        let device = device::choose(config.run.device)?;
        let free = FreeMemory::read(device);
        let watch = (!args.no_measure).then(|| watch(device)).transpose()?;
        let mut run = prepare(config, args.gpu)?;
        standing.compare(saved.as_ref(), &folder, &mut run);
        promote::check_gates(&run.config.run, &run.data, &args.unattended.gate)?;
        let measured = watch.map(|watch| Findings::of(&mut run, &watch, args.gpu, free)).transpose()?;
        let settings = origins::settings(&resolved, used(&run)?, asked, standing.goes_on())?;
        let present = if standing.goes_on() { folder.checkpoints.steps()?.len() } else { 0 };
        let checkpoints = Disk::of(&run.trainer, &run.config, run.steps, present as u64);
        let memory = MemoryNeeds::of(&run, free);
        let server = Server::of(&run, !args.no_measure)?;
        let plan = Self::of(&run, standing, measured, memory, checkpoints);
        let rate = plan.forecast.as_ref().map(|forecast| forecast.images_per_second);
        let processes = together.map(|(count, bandwidth)| Processes::of(&run, count, bandwidth, rate));
        Ok(Self { server, processes, settings, ..plan })
    }

    /// Describes a run, without its settings and other numbers of processes.
    fn of(
        run: &Run,
        standing: Standing,
        measured: Option<Findings>,
        memory: MemoryNeeds,
        checkpoints: Disk,
    ) -> Self {
        Self {
            forecast: measured.as_ref().and_then(|measured| measured.forecast(run, standing.steps_made())),
            data: Inventory::of(&run.data.train),
            validation: run.data.validation.as_ref().map(Inventory::of),
            enlarged: Enlarged::of(&run.data.train, run.config.side()),
            batch_size: run.batch_size,
            epochs: run.steps as f64 * run.batch_size as f64 / run.samples_an_epoch() as f64,
            steps: run.steps,
            steps_an_epoch: run.samples_an_epoch() as f64 / run.batch_size as f64,
            schedule: run.trainer.schedule().clone(),
            parameters: run.trainer.network().parameters(),
            gigamacs_a_step: run.trainer.network().method().macs(run.batch_size as i64) / 1e9,
            device: torchkit::name(run.device),
            precision: run.config.train.precision.to_string(),
            cores: data::cores(),
            threads: Threads { decode: data::workers(&run.config), compute: run.threads },
            memory,
            server: None,
            processes: None,
            checkpoints,
            settings: Vec::new(),
            run: standing,
            measured,
        }
    }
}

/// The free memory before anything is allocated, in bytes.
#[derive(Debug, Clone, Copy)]
struct FreeMemory {
    host: Option<u64>,
    device: Option<u64>,
}

impl FreeMemory {
    fn read(device: Device) -> Self {
        let of_device = |accelerator| torchkit::free_memory(Some(accelerator));
        Self { host: torchkit::free_memory(None), device: Accelerator::of(device).and_then(of_device) }
    }

    /// Returns the free memory for the tensors of a step.
    fn for_steps(self) -> Option<u64> {
        self.device.or(self.host)
    }
}

/// Starts to watch the memory of tensors.
fn watch(device: Device) -> Result<MemoryWatch> {
    let start = || Ok(MemoryWatch::start(Accelerator::of(device))?);
    device::within_memory(device, || "a context of this process".to_owned(), Vec::new, start)
}

/// Prepares the run. Steps of several sizes cannot be recorded as a CUDA graph.
fn prepare(mut config: Config, is_of_several_sizes: bool) -> Result<Run> {
    let graph = config.run.cuda_graph;
    if is_of_several_sizes {
        config.run.cuda_graph = Choice::Off;
    }
    let mut run = Run::prepare(config, None, World::ALONE)?;
    if run.config.run.fused == Choice::Auto {
        // Those that a run uses once they are proved.
        device::settle_fused(Choice::On, run.device);
    }
    run.config.run.cuda_graph = graph;
    Ok(run)
}

impl MemoryNeeds {
    /// Computes the memory that the settings need, and reads the peak of this process.
    fn of(run: &Run, free: FreeMemory) -> Self {
        let recipe = run.config.recipe();
        let loader = data::loader(&run.config, run.batch_size);
        Self {
            index_bytes: run.data.train.index_bytes(),
            slab_bytes: loader.bytes(&recipe) as u64,
            slabs: crate::feed::slabs(&loader),
            spare_bytes: loader.spare_bytes(&recipe),
            state: run.trainer.network().method().state_bytes().into_iter().map(State::from).collect(),
            host_peak_bytes: torchkit::resident_memory().map(|memory| memory.peak),
            host_free_bytes: free.host,
            device_free_bytes: free.device,
        }
    }
}

/// Returns the settings as a run on this machine resolves them.
fn used(run: &Run) -> Result<Flat> {
    let mut used = origins::flat(&run.config)?;
    let device = match run.device {
        Device::Cuda(number) => format!("cuda:{number}"),
        _ => "cpu".to_owned(),
    };
    used.insert("run.device".to_owned(), json!(device));
    used.insert("run.workers".to_owned(), json!(data::workers(&run.config)));
    used.insert("run.threads".to_owned(), json!(run.threads));
    Ok(used)
}

impl Findings {
    /// Measures loading, then steps: of three sizes if `by_batch`, otherwise of one.
    fn of(run: &mut Run, watch: &MemoryWatch, by_batch: bool, free: FreeMemory) -> Result<Self> {
        tracing::info!("loading for a few seconds …");
        let decode = run.config.data.decode;
        let loading = loading::load(run, decode, LOADING)?;
        let by_batch = by_batch.then(|| ByBatch::measure(run, watch, free)).transpose()?;
        let step = match &by_batch {
            Some(by_batch) => by_batch.of_size(run.batch_size),
            None => one_step(run, watch)?,
        };
        let cures = match step {
            Some(_) => Vec::new(),
            None => Run::cures(&run.config.train, run.batch_size, run.trainer.is_recorded()),
        };
        let mut found = Self { loading, loading_fast: None, step, cures, by_batch };
        if decode == DecodeMode::Exact && found.waits_for_decoding(run) {
            tracing::info!("loading with --decode fast …");
            found.loading_fast = Some(loading::load(run, DecodeMode::Fast, LOADING_FAST)?);
        }
        Ok(found)
    }

    /// Returns the costs of a sample with this loading; none if no step was measured.
    fn costs(&self, loading: &Loading, batch_size: usize) -> Option<Costs> {
        Some(Costs::of(data::cores(), loading, self.step.as_ref()?, batch_size))
    }

    /// Returns whether decoding is the bottleneck and keeps all cores busy.
    fn waits_for_decoding(&self, run: &Run) -> bool {
        let workers = data::workers(&run.config);
        self.costs(&self.loading, run.batch_size)
            .is_some_and(|costs| costs.bottleneck() == Bottleneck::Data && costs.is_decoding_busy(workers))
    }

    /// Computes the forecast of a run that has made `step` steps.
    fn forecast(&self, run: &Run, step: u64) -> Option<Forecast> {
        let costs = self.costs(&self.loading, run.batch_size)?;
        let fast = self.loading_fast.as_ref().and_then(|fast| self.costs(fast, run.batch_size));
        let has_idle_gpu = run.device == Device::Cpu && torchkit::has_driver();
        let (samples, batch_size) = (run.data.trained.len(), run.batch_size);
        let work = Work { samples, batch_size, steps_left: run.steps.saturating_sub(step) };
        let remedy = Remedy::of(&costs, run.choices(), fast.as_ref(), has_idle_gpu);
        Some(Forecast::of(&costs, work, remedy))
    }
}

/// The smallest batch that can be encoded in the run's number of parts.
fn smallest_batch(run: &Run) -> usize {
    2 * run.config.train.accumulate
}

fn steps<'a>(run: &'a mut Run, watch: &'a MemoryWatch) -> Steps<'a> {
    let (recipe, device) = (run.config.recipe(), run.device);
    Steps { trainer: &mut run.trainer, recipe, device, watch }
}

/// Measures a step of the run's batch size, or of a smaller one on the CPU. None if it does not fit into
/// memory.
fn one_step(run: &mut Run, watch: &MemoryWatch) -> Result<Option<Measured>> {
    tracing::info!("making a few steps on synthetic images …");
    let (batch_size, least) = (run.batch_size, smallest_batch(run));
    steps(run, watch).within_budget(batch_size, least)
}

impl ByBatch {
    /// Measures steps of a quarter, half and all of the run's batch size.
    fn measure(run: &mut Run, watch: &MemoryWatch, free: FreeMemory) -> Result<Self> {
        let (batch_size, least) = (run.batch_size, smallest_batch(run));
        let sizes = [batch_size / 4, batch_size / 2, batch_size].map(|size| size.max(least));
        let measured = steps(run, watch).of_each(sizes.to_vec())?;
        let parts = run.config.train.accumulate as i64;
        let method = run.trainer.network().method();
        let indexed = run.device.is_cuda().then(|| method.largest_batch(parts, 1) as usize);
        Ok(Self::of(measured, free.for_steps(), indexed))
    }

    /// Returns the step of this size, if it was measured.
    fn of_size(&self, batch_size: usize) -> Option<Measured> {
        self.steps.last().filter(|step| step.batch_size == batch_size).copied()
    }

    /// Fits the memory to the steps, and finds the largest batch that fits into the free memory.
    fn of(steps: Vec<Measured>, free: Option<u64>, indexed: Option<usize>) -> Self {
        let memory = Memory::through(&steps);
        let most = 8 * steps.iter().map(|step| step.batch_size).max().unwrap_or(0);
        let most = indexed.map_or(most, |indexed| most.min(indexed));
        let largest_batch = memory.zip(free).map(|(memory, free)| memory.largest(free, most));
        Self { steps, memory, largest_batch, most, indexed }
    }
}
