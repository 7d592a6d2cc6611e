//! Making a plan: what is counted and what is measured.

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
    outcome::{ByBatch, Findings, MemoryNeeds, Plan, Threads},
    standing,
    step::{Measured, Memory, Steps},
    words,
};
use crate::{
    config::{Config, Layers},
    data, device, stdout,
};
use crate::{
    metrics::Bottleneck,
    run::{enlarged::Enlarged, folder::RunFolder, promote},
    train::Run,
    world::World,
};
use torchkit::{Accelerator, GraphChoice, MemoryWatch};

/// How long the run's own samples are loaded …
const LOADING: Duration = Duration::from_millis(2_500);
/// … and again, decoded otherwise.
const LOADING_AGAIN: Duration = Duration::from_millis(1_200);

/// Says what a run will come to, in words and as one JSON object.
pub fn run(args: &Args) -> Result<()> {
    let plan = Plan::make(&args.train.layers()?, args)?;
    words::say(&plan)?;
    stdout::print(&serde_json::to_value(&plan).context("cannot write the plan as JSON")?)
}

impl Plan {
    fn make(asked: &Layers, args: &Args) -> Result<Self> {
        let merged = asked.merged();
        let folder = RunFolder::of(&Config::out(&merged)?);
        let unattended = &args.unattended;
        let (mut config, saved, mut standing) = standing::find(&folder, &merged, unattended)?;
        let resolved = origins::flat(&config)?;
        let graph = config.run.cuda_graph;
        if args.gpu {
            config.run.cuda_graph = GraphChoice::Off; // steps are of another size every time
        }
        let device = device::choose(config.run.device)?;
        let accelerator = Accelerator::of(device);
        let host_free_bytes = torchkit::free_memory(None);
        let device_free_bytes = accelerator.and_then(|accelerator| torchkit::free_memory(Some(accelerator)));
        let watch = || Ok((!args.no_measure).then(|| MemoryWatch::start(accelerator)).transpose()?);
        let watch =
            device::within_memory(device, || "a context of this process".to_owned(), Vec::new, watch)?;
        let mut run = Run::prepare(config, None, World::join())?;
        run.config.run.cuda_graph = graph;
        standing.compare(saved.as_ref(), &folder, &mut run);
        promote::check_gates(&run.config.run, &run.data, &unattended.gate)?;
        let free = device_free_bytes.or(host_free_bytes);
        let measured = watch.map(|watch| Findings::of(&mut run, &watch, args.gpu, free)).transpose()?;
        let used = used(&run)?;
        let present = if standing.goes_on() { folder.checkpoints.steps()?.len() } else { 0 };
        Ok(Self {
            forecast: measured.as_ref().and_then(|measured| measured.forecast(&run, standing.steps_made())),
            data: Inventory::of(&run.data.train),
            validation: run.data.validation.as_ref().map(Inventory::of),
            enlarged: Enlarged::of(&run.data.train, run.config.preset)?,
            batch_size: run.batch_size,
            epochs: run.steps as f64 * run.batch_size as f64 / run.data.train.len() as f64,
            steps: run.steps,
            steps_an_epoch: run.data.train.len() as f64 / run.batch_size as f64,
            schedule: run.trainer.schedule().clone(),
            parameters: run.trainer.network().parameters(),
            gigamacs_a_step: run.trainer.network().method().macs(run.batch_size as i64) / 1e9,
            device: torchkit::name(run.device),
            precision: run.config.train.precision.to_string(),
            cores: data::cores(),
            threads: Threads { decode: data::workers(&run.config), compute: run.threads },
            memory: MemoryNeeds { host_free_bytes, device_free_bytes, ..MemoryNeeds::of(&run) },
            checkpoints: Disk::of(&run.trainer, &run.config, run.steps, present as u64),
            settings: origins::settings(&resolved, used, asked, standing.goes_on())?,
            run: standing,
            measured,
        })
    }
}

impl MemoryNeeds {
    /// What follows from the settings, and what this process has taken; what is free is for others to say.
    fn of(run: &Run) -> Self {
        let recipe = run.config.recipe();
        let loader = data::loader(&run.config, run.batch_size);
        let shape = loader.shape(&recipe);
        Self {
            index_bytes: run.data.train.index_bytes(),
            slab_bytes: shape.bytes() as u64,
            slabs: crate::feed::slabs(&loader),
            spare_bytes: loader.spare_bytes(&recipe),
            host_peak_bytes: torchkit::resident_memory().map(|memory| memory.peak),
            host_free_bytes: None,
            device_free_bytes: None,
        }
    }
}

/// The settings as a run on this machine has them.
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
    /// Loads and makes steps, one after the other.
    fn of(run: &mut Run, watch: &MemoryWatch, by_batch: bool, free: Option<u64>) -> Result<Self> {
        tracing::info!("loading for a few seconds …");
        let decode = run.config.data.decode;
        let loading = loading::load(run, decode, LOADING)?;
        let least = 2 * run.config.train.accumulate;
        let (batch_size, side, device) = (run.batch_size, run.config.preset.side(), run.device);
        let mut steps = Steps { trainer: &mut run.trainer, side, device, watch };
        let (step, by_batch) = if by_batch {
            let sizes = [batch_size / 4, batch_size / 2, batch_size].map(|size| size.max(least));
            let measured = steps.of_each(sizes.to_vec())?;
            let indexed = device.is_cuda().then(|| {
                run.trainer.network().method().largest_batch(run.config.train.accumulate as i64) as usize
            });
            let found = ByBatch::of(measured, free, indexed);
            (found.steps.last().filter(|step| step.batch_size == batch_size).copied(), Some(found))
        } else {
            tracing::info!("a few steps on made-up images …");
            (steps.within_budget(batch_size, least)?, None)
        };
        let cures = Run::cures(&run.config.train, batch_size, run.trainer.is_recorded());
        let cures = if step.is_none() { cures } else { Vec::new() };
        let mut found = Self { loading, loading_fast: None, step, cures, by_batch };
        if decode == DecodeMode::Exact && found.waits_for_decoding(run) {
            tracing::info!("loading with --decode fast …");
            found.loading_fast = Some(loading::load(run, DecodeMode::Fast, LOADING_AGAIN)?);
        }
        Ok(found)
    }

    fn costs(&self, loading: &Loading, batch_size: usize) -> Option<Costs> {
        Some(Costs::of(data::cores(), loading, self.step.as_ref()?, batch_size))
    }

    /// Whether decoding takes more than anything else, all cores being busy with it.
    fn waits_for_decoding(&self, run: &Run) -> bool {
        let workers = data::workers(&run.config);
        self.costs(&self.loading, run.batch_size)
            .is_some_and(|costs| costs.bottleneck() == Bottleneck::Data && costs.is_decoding_busy(workers))
    }

    /// What is to be expected of a run that stands at this step.
    fn forecast(&self, run: &Run, step: u64) -> Option<Forecast> {
        let costs = self.costs(&self.loading, run.batch_size)?;
        let fast = self.loading_fast.as_ref().and_then(|fast| self.costs(fast, run.batch_size));
        let has_idle_gpu = run.device == Device::Cpu && torchkit::has_driver();
        let (samples, batch_size) = (run.data.train.len(), run.batch_size);
        let work = Work { samples, batch_size, steps_left: run.steps.saturating_sub(step) };
        let remedy = Remedy::of(&costs, run.choices(), fast.as_ref(), has_idle_gpu);
        Some(Forecast::of(&costs, work, remedy))
    }
}

impl ByBatch {
    /// The function through these steps, and up to where it fits into what is free.
    fn of(steps: Vec<Measured>, free: Option<u64>, indexed: Option<usize>) -> Self {
        let memory = Memory::through(&steps);
        let most = 8 * steps.iter().map(|step| step.batch_size).max().unwrap_or(0);
        let most = indexed.map_or(most, |indexed| most.min(indexed));
        let largest_batch = memory.zip(free).map(|(memory, free)| memory.largest(free, most));
        Self { steps, memory, largest_batch, most, indexed }
    }
}
