//! From settings to a run, once everything that can be refused has been.

use anyhow::{Context, Result};
use shards::Position;
use tch::Device;

use super::{
    session::{Longest, Run},
    threads::{self, Cost},
    trainer::Trainer,
};
use crate::{
    checkpoint::{self, DataIdentity, Loaded},
    config::{Config, WarmStart},
    data::Data,
    device,
    exit::Code,
    files,
    hint::WithHint,
    optim::Schedule,
    run::{
        folder::RunFolder,
        length::{batch_size, default_epochs, steps},
    },
    usage,
};
use torchkit::{Accelerator, Stream};

impl Run {
    pub(crate) fn prepare(mut config: Config, resumed: Option<&Loaded>) -> Result<Self> {
        let device = device::choose(config.run.device)?;
        let mut data = Data::open(&config.data)?;
        if let Some(loaded) = resumed {
            loaded.state.data.check(DataIdentity::of(&data.train))?;
            if data.class_names.is_empty() {
                data.class_names.clone_from(&loaded.state.class_names);
            } else {
                dataset::warn_of_renamed(&loaded.state.class_names, &data.class_names);
            }
        }
        let batch_size = batch_size(&config, device, data.train.len())?;
        let steps = steps(&config, batch_size, data.train.len());
        config.train.batch_size = Some(batch_size);
        check_parts(batch_size, config.train.accumulate)?;
        config.train.precision = config.train.precision.on(device);
        config.train.precision.apply()?;
        if config.train.precision.is_emulated(device) {
            tracing::warn!(
                "{} has no instructions for bf16, which makes a step many times slower than f32",
                torchkit::name(device)
            );
        }
        config.train.epochs =
            config.train.epochs.or(config.train.steps.is_none().then(|| default_epochs(&config)));
        // A step is recorded on a queue that is not the device's default one: everything is done on it.
        let queue = || Ok(Stream::new(Accelerator::of(device))?.make_current()?);
        device::within_memory(device, || "anything at all".to_owned(), Vec::new, queue)?;
        let steps_an_epoch = data.train.len() as f64 / batch_size as f64;
        let schedule = Schedule::of_lengths(&config.optim, &config.train.lengthened, steps, steps_an_epoch);
        config.optim.warmup_steps = Some(schedule.warmup_steps());
        let trainer = Trainer::new(&config, data.classes, device, schedule)?;
        check_indices(batch_size, config.train.accumulate, device, |parts| {
            trainer.network().method().largest_batch(parts as i64) as usize
        })?;
        let cost = Cost {
            bytes: data.train.bytes() as f64 / data.train.len() as f64,
            macs: trainer.network().method().macs(batch_size as i64) / batch_size as f64,
        };
        let threads = threads::share(config.run.threads, cost, device);
        let position = Position::default();
        Ok(Self {
            config,
            data,
            device,
            trainer,
            lock: None,
            position,
            steps,
            batch_size,
            threads,
            saved: None,
            longest: Longest::default(),
            is_queued: Accelerator::of(device).is_some(),
            checking: None,
            unchecked: Vec::new(),
            at_chance: 0,
        })
    }

    /// The settings as they may be given to another run: the warm-up that follows from the length is left to follow from its own.
    /// Checkpoints have the one that this run began with.
    pub(crate) fn settings(&self) -> Config {
        let mut config = self.config.clone();
        let begun_for = config.train.lengthened.first().map_or(self.steps, |length| length.from);
        config.optim.warmup_steps =
            config.optim.warmup_steps.filter(|&steps| steps != Schedule::warmup(begun_for));
        config
    }

    /// The best checkpoint is told by a symbolic link: said before the first validation.
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

    /// Takes over the encoder that a new run in this folder is to begin with, if there is to be one.
    pub(crate) fn begin(&self, folder: &RunFolder, is_set_aside_later: bool) -> Result<()> {
        let Some(loaded) = self.origin(folder, is_set_aside_later)? else { return Ok(()) };
        loaded
            .restore_encoder(&self.trainer.network().tensors())
            .with_context(|| format!("cannot begin with the encoder of `{}`", loaded.path.display()))
            .with_hint(|| {
                let Config { preset, encoder, .. } = &loaded.state.config;
                format!("give the preset and sizes of that run: --preset {preset} {}", encoder.flags())
            })?;
        tracing::info!("training begins with the encoder of `{}`", loaded.path.display());
        Ok(())
    }

    /// The checkpoint with whose encoder it is to begin.
    fn origin(&self, folder: &RunFolder, is_set_aside_later: bool) -> Result<Option<Loaded>> {
        let before = if is_set_aside_later { folder.clone() } else { folder.previous() };
        let latest = || -> Result<Option<Loaded>> {
            let found = before.checkpoints.latest()?;
            if found.is_none() {
                tracing::info!(
                    "there was no run in `{}` before: training begins anew",
                    folder.path.display()
                );
            }
            Ok(found)
        };
        match &self.config.train.warm_start {
            None => Ok(None),
            Some(WarmStart::Path(path)) => checkpoint::find(path).map(Some),
            Some(WarmStart::Last) => latest(),
            Some(WarmStart::Best) => {
                let best = before.checkpoints.best_path().map(|path| Loaded::open(&path)).transpose();
                let best =
                    best.inspect_err(|error| tracing::warn!("skipping the best checkpoint: {error:#}"));
                best.unwrap_or_default().map_or_else(latest, |loaded| Ok(Some(loaded)))
            }
        }
    }

    /// Goes on from a checkpoint of this run.
    pub(crate) fn resume(&mut self, folder: &RunFolder, loaded: &Loaded) -> Result<()> {
        folder.checkpoints.set_aside_after(loaded.state.step)?;
        folder.checkpoints.link_best()?;
        self.trainer.restore(loaded).context("cannot resume")?;
        self.position = loaded.state.position;
        self.saved = Some(loaded.state.step);
        let length = |config: &Config| (config.train.steps, config.train.epochs);
        if length(&self.config) == length(&loaded.state.config) {
            return Ok(());
        }
        // Whoever goes on from here without saying so goes on for as long.
        folder.checkpoints.restate_length(loaded, &self.state(loaded.state.step, self.position))?;
        tracing::info!(
            "the run becomes longer: drops of the learning rate that were made stay where they were, those to come move with its end"
        );
        Ok(())
    }
}

/// Refuses more parts of a batch than can have two samples each, which batch norms need.
fn check_parts(batch_size: usize, parts: usize) -> Result<()> {
    if batch_size >= 2 * parts {
        return Ok(());
    }
    Err(usage!(
        "a batch of {batch_size} cannot be divided into {parts} parts of at least two samples";
        "set --accumulate to {} or less", batch_size / 2
    ))
}

/// A batch whose tensors CUDA cannot index is refused, given the largest batch for a number of parts.
fn check_indices(
    batch_size: usize,
    parts: usize,
    device: Device,
    largest: impl Fn(usize) -> usize,
) -> Result<()> {
    let most = largest(parts);
    if !device.is_cuda() || batch_size <= most {
        return Ok(());
    }
    let enough = (parts + 1..=batch_size / 2).find(|&parts| largest(parts) >= batch_size);
    let in_parts = enough.map_or(String::new(), |parts| format!(", or --accumulate {parts}"));
    Err(usage!(
        "a batch of {batch_size} makes a tensor of more than 2^31 - 1 elements, which CUDA's kernels cannot index: a batch \
         of this model has {most} samples at most";
        "set --batch-size {most}{in_parts}"
    ))
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;

    use super::*;
    use crate::{
        encoder, hint,
        method::{Method, MethodConfig},
    };

    /// Without its weights, of which the published size has 200 million.
    fn method(ndf: i64) -> Box<dyn Method> {
        let encoder = encoder::amdim::Config { ndf, n_rkhs: 64, n_depth: 1, use_bn: false };
        MethodConfig::default().build(&VarStore::new(Device::Cpu).root(), 128, &encoder.into())
    }

    #[test]
    fn a_batch_that_cuda_cannot_index_is_refused_with_the_largest_one() {
        // Of a pair the stem makes 2 · 64 · 64 · 48 elements; n² · 49 scores are too many from another size on.
        let method = method(48);
        assert_eq!([1, 2].map(|parts| method.largest_batch(parts)), [5_461, 6_620]);
        let wide = |parts: usize| parts * (i32::MAX as usize / (2 * 64 * 64 * 192));
        let cuda = Device::Cuda(0);
        check_indices(1_365, 1, cuda, wide).unwrap();
        check_indices(1_366, 1, Device::Cpu, wide).unwrap();
        let error = hint::render(&check_indices(1_366, 1, cuda, wide).unwrap_err());
        assert!(error.contains("1365 samples at most"), "{error}");
        assert!(error.contains("hint: set --batch-size 1365, or --accumulate 2"), "{error}");
        check_indices(2_700, 2, cuda, wide).unwrap();
    }
}
