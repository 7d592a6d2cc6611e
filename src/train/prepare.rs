//! A run from its settings, once everything that can be refused has been checked.

use anyhow::{Context, Result};
use shards::Position;
use tch::Device;

use super::{
    fused,
    session::{LongestTimes, MetSamples, Run},
    trainer::Trainer,
};
use crate::{
    checkpoint::{self, DataIdentity, HostCopies, Loaded, State, Writer},
    config::{Config, WarmStart},
    data::{self, Data},
    device,
    exit::Code,
    files,
    hint::{self, WithHint},
    optim::Schedule,
    run::{
        batch::{
            batch_size, check_division, check_indices, check_norm_groups, check_parts, largest, norm_groups,
        },
        folder::RunFolder,
        length::{default_epochs, steps},
        threads::{SampleCost, set_compute_threads},
    },
    world::World,
};
use torchkit::{Accelerator, Choice, Stream};

impl Run {
    /// Opens the data, settles the settings that depend on data and device, and builds the network.
    ///
    /// # Errors
    ///
    /// If the settings contradict the data, the device, or the checkpoint that the run resumes.
    pub(crate) fn prepare(mut config: Config, resumed: Option<&State>, world: World) -> Result<Self> {
        let device = device::choose_for(config.run.device, world)?;
        let data = open_data(&config, resumed)?;
        let batch_size = batch_size(&config, device, data.trained.len())?;
        let steps = steps(&config, batch_size, data.train.len());
        config.train.batch_size = Some(batch_size);
        check_parts(batch_size, config.train.accumulate)?;
        check_division(world.division(batch_size, config.train.accumulate), config.data.partitions)?;
        settle_precision(&mut config, device)?;
        device::settle_fused(config.run.fused, device);
        let is_fused_unproved = config.run.fused == Choice::Auto && device.is_cuda();
        if is_fused_unproved {
            fused::prove_input(&config.normalization(), device)?;
        }
        if config.train.steps.is_none() && config.train.epochs.is_none() {
            config.train.epochs = Some(default_epochs(&config));
        }
        // CUDA graphs cannot be recorded on the default stream, so all work uses this stream.
        let stream = || Ok(Stream::new(Accelerator::of(device))?.make_current()?);
        device::within_memory(device, || "a context of this process".to_owned(), Vec::new, stream)?;
        let steps_an_epoch = config.data.samples_an_epoch(data.trained.len()) as f64 / batch_size as f64;
        let schedule = Schedule::of_lengths(&config.optim, &config.train.lengthened, steps, steps_an_epoch)
            .scaled(config.optim.lr_scaling, batch_size as u64);
        config.optim.warmup_steps = Some(schedule.warmup_steps());
        let trainer = Trainer::new(&config, (data.train.len(), data.classes), device, schedule, world)?;
        let method = trainer.network().method();
        let groups = norm_groups(&config.train, method, batch_size as i64);
        check_norm_groups(world.size(), groups, batch_size, config.train.accumulate)?;
        check_indices(batch_size, config.train.accumulate, device, largest(method, world.size()))?;
        let cost = SampleCost {
            bytes: data.train.bytes() as f64 / data.train.len() as f64,
            macs: trainer.network().method().macs(batch_size as i64) / batch_size as f64,
        };
        let accelerator = Accelerator::of(device);
        Ok(Self {
            threads: set_compute_threads(config.run.threads, cost, device),
            config,
            data,
            device,
            world,
            trainer,
            lock: None,
            position: Position::default(),
            steps,
            batch_size,
            saved: None,
            longest: LongestTimes::default(),
            is_queued: accelerator.is_some(),
            is_fused_unproved,
            pending: None,
            host_copies: HostCopies::new(accelerator, accelerator.is_some()),
            writer: Writer::default(),
            unchecked: Vec::new(),
            at_chance: 0,
            has_alarmed: false,
            met: MetSamples::default(),
            gauges: None,
        })
    }

    /// Returns the settings as another run may take them: a warm-up that follows from this run's length is
    /// left out, so that it follows from the length of the other one. Checkpoints keep the warm-up that this
    /// run began with.
    pub(crate) fn settings(&self) -> Config {
        let mut config = self.config.clone();
        let begun_for = config.train.lengthened.first().map_or(self.steps, |length| length.from);
        let steps_an_epoch = self.trainer.schedule().steps_an_epoch();
        let default = Schedule::warmup(&config.optim, begun_for, steps_an_epoch);
        config.optim.warmup_steps = config.optim.warmup_steps.filter(|&steps| steps != default);
        config
    }

    /// Checks before the first validation that the symbolic link to the best checkpoint can be made.
    ///
    /// # Errors
    ///
    /// If a best checkpoint is wanted and the file system has no symbolic links.
    pub(crate) fn check_links(&self, folder: &RunFolder) -> Result<()> {
        if self.config.run.best.is_none() {
            return Ok(());
        }
        files::check_links(&folder.path)
            .with_context(|| {
                format!(
                    "--best needs symbolic links, which the file system of `{}` does not have",
                    folder.path.display()
                )
            })
            .with_hint(|| "name another folder with --out, or leave out --best")
            .with_code(Code::Usage)
    }

    /// Loads the encoder with which a new run in this folder begins, if the settings name one.
    pub(crate) fn warm_start(&mut self, folder: &RunFolder, is_set_aside_later: bool) -> Result<()> {
        let Some(loaded) = self.origin(folder, is_set_aside_later)? else { return Ok(()) };
        self.trainer
            .warm_start(&loaded)
            .with_context(|| format!("cannot begin with the encoder of `{}`", loaded.path.display()))
            .with_hint(|| {
                let Config { preset, encoder, .. } = &loaded.state.config;
                format!(
                    "give the preset and sizes of that run: --preset {preset} {}",
                    encoder.chosen().flags()
                )
            })?;
        tracing::info!("training begins with the encoder of `{}`", loaded.path.display());
        Ok(())
    }

    /// Finds the checkpoint whose encoder the run begins with.
    fn origin(&self, folder: &RunFolder, is_set_aside_later: bool) -> Result<Option<Loaded>> {
        let before = if is_set_aside_later { folder.clone() } else { folder.previous() };
        let latest = || -> Result<Option<Loaded>> {
            let latest = before.checkpoints.latest()?;
            if latest.is_none() {
                tracing::info!(
                    "there was no run in `{}` before: training begins anew",
                    folder.path.display()
                );
            }
            Ok(latest)
        };
        match &self.config.train.warm_start {
            None => Ok(None),
            Some(WarmStart::Path(path)) => checkpoint::find(path).map(Some),
            Some(WarmStart::Last) => latest(),
            Some(WarmStart::Best) => match before.checkpoints.best_path().map(|path| Loaded::open(&path)) {
                Some(Ok(best)) => Ok(Some(best)),
                Some(Err(error)) => {
                    tracing::warn!("skipping the best checkpoint: {}", hint::render(&error));
                    latest()
                }
                None => latest(),
            },
        }
    }
}

/// Opens the data, and checks that they are those of the checkpoint that the run resumes.
fn open_data(config: &Config, resumed: Option<&State>) -> Result<Data> {
    let mut data = Data::open(&config.data)?;
    if let Some(chosen) = config.method.chosen().subset(data.train.len(), config.seed) {
        data.trained = data.train.subset(chosen);
    }
    let Some(state) = resumed else { return Ok(data) };
    state.data.check(DataIdentity::of(&data.train))?;
    if data.class_names.is_empty() {
        data.class_names.clone_from(&state.class_names);
    } else {
        data::warn_of_renamed(&state.class_names, &data.class_names);
    }
    Ok(data)
}

/// Chooses the precision on the device, and warns where the device emulates it.
fn settle_precision(config: &mut Config, device: Device) -> Result<()> {
    config.train.precision = config.precision_on(device);
    config.train.precision.apply()?;
    if config.train.precision.is_emulated(device) {
        tracing::warn!(
            "{} has no instructions for bf16: steps are many times slower than in f32",
            torchkit::name(device)
        );
    }
    Ok(())
}
