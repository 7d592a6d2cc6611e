//! The computation of a set's features: each process computes those of its share of the samples, and the lead keeps all.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{Seek, Write},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use pipeline::{BadSample, BadSampleBudget};
use serde::{Deserialize, Serialize};
use shards::ShardSet;
use tch::{Device, Tensor};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    features::{Features, NO_TEMPORARY_FILE, append, labels_path},
    samples::{images, share},
};
use crate::{
    config::Config,
    encoder::{Encoder, Mode},
    failure,
    files::Partial,
    network,
    terminal::Progress,
    views::Views,
    world::World,
};
use torchkit::Precision;

impl Features {
    /// Computes the features of a set's un-augmented images with an encoder in evaluation mode. With a cache
    /// folder, features of an earlier evaluation with the same `identity` of the encoder are read from there,
    /// and new ones are kept there.
    ///
    /// # Errors
    ///
    /// If no sample is labelled or can be read, a feature is not finite, or the file cannot be written.
    pub fn compute(
        encoder: &dyn Encoder,
        identity: &str,
        set: &ShardSet,
        config: &Config,
        device: Device,
        cache: Option<&Path>,
    ) -> Result<Self> {
        let source = Source { encoder, set, config, device, world: World::ALONE };
        source.compute(identity, cache)?.context("a process without others is the lead")
    }
}

/// An encoder and the set whose features it computes, together with other processes that have the same encoder.
pub(super) struct Source<'a> {
    pub(super) encoder: &'a dyn Encoder,
    pub(super) set: &'a ShardSet,
    pub(super) config: &'a Config,
    pub(super) device: Device,
    pub(super) world: World,
}

/// The result of writing features.
struct Written {
    /// The labels of the samples whose features were written.
    labels: Vec<i64>,
    bad_samples: u64,
}

/// What a process has read of its share.
#[derive(Default, Serialize, Deserialize)]
struct Share {
    /// The images that could be read.
    images: u64,
    bad_samples: u64,
    last_bad: Option<BadSample>,
}

impl Share {
    fn add_bad(&mut self, samples: &[BadSample]) {
        self.bad_samples += samples.len() as u64;
        self.last_bad = samples.last().cloned().or(self.last_bad.take());
    }
}

impl Source<'_> {
    /// Returns the features that [`Features::compute`] describes, on the lead; `None` on other processes. Their order is
    /// that of the set, however many processes compute them. Batches have other samples then, so that the last bits of the
    /// features may differ.
    ///
    /// # Errors
    ///
    /// Those of [`Features::compute`]; or if another process is lost.
    pub(super) fn compute(&self, identity: &str, cache: Option<&Path>) -> Result<Option<Features>> {
        if let Some(cache) = cache {
            return self.cached(identity, cache);
        }
        let file = tempfile::tempfile().context(NO_TEMPORARY_FILE)?;
        let written = self.write(&file)?;
        Ok(written.map(|written| self.features(file, &written)))
    }

    fn features(&self, file: File, written: &Written) -> Features {
        Features { file, width: self.encoder.width(), labels: Tensor::from_slice(&written.labels) }
    }

    /// Reads the features from the cache, or computes them and keeps them there. The lead alone uses the cache.
    fn cached(&self, identity: &str, cache: &Path) -> Result<Option<Features>> {
        let (path, width) = (cache.join(self.file_name(identity)), self.encoder.width());
        let cannot = || format!("cannot write `{}`", path.display());
        let (mut found, mut created) = (None, None);
        let is_found = self.world.from_lead(|| {
            fs::create_dir_all(cache).with_context(|| format!("cannot create `{}`", cache.display()))?;
            found = Features::open(&path, width)?;
            if let Some(found) = &found {
                tracing::info!("features of {} samples from `{}`", found.len(), path.display());
                return Ok(true);
            }
            let partial = Partial::beside(&path).with_context(cannot)?;
            let file = partial.create().with_context(cannot)?;
            created = Some((partial, file));
            Ok(false)
        })?;
        if is_found {
            return Ok(found);
        }
        let Some((partial, file)) = created else {
            return self.write(&tempfile::tempfile().context(NO_TEMPORARY_FILE)?).map(|_| None);
        };
        let Some(written) = self.write(&file)? else { return Ok(None) };
        // Bad samples may be readable next time, so incomplete features are not kept.
        if written.bad_samples == 0 {
            let numbers: Vec<_> = written.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
            let beside = Partial::beside(&labels_path(&path));
            beside.and_then(|labels| labels.write(&numbers)).with_context(cannot)?;
            partial.finish().with_context(cannot)?;
        }
        Ok(Some(self.features(file, &written)))
    }

    /// Returns the name of the file in the cache, which identifies everything that the features depend on.
    fn file_name(&self, identity: &str) -> String {
        let Self { encoder, set, config, device, .. } = self;
        let (digest, width) = (set.digest(), encoder.width());
        let mut key = format!("{identity} {digest:x} {} {} {width}", config.preset, config.data.decode);
        if let Some(side) = config.side {
            let _ = write!(key, " {side}");
        }
        let precision = config.train.precision.of_evaluation(*device);
        if precision != Precision::F32 {
            key = format!("{key} {precision}");
        }
        format!("{:016x}.features", xxh3_64(key.as_bytes()))
    }

    /// Writes the features of all labelled samples to a file of the lead, and returns their labels there. The file of another
    /// process receives those of its share.
    fn write(&self, file: &File) -> Result<Option<Written>> {
        let (mut share, mut labels) = (Share::default(), Vec::new());
        self.write_share(file, &mut share, &mut labels)?;
        let shares = self.world.every(&share)?;
        self.world.from_lead(|| self.check_bad(&shares))?;
        self.gather(file, &mut labels)?;
        self.world.on_lead(|| {
            let bad_samples = shares.iter().map(|share| share.bad_samples).sum();
            if bad_samples > 0 {
                tracing::warn!("bad samples left out: {bad_samples}");
            }
            ensure!(shares.iter().any(|share| share.images > 0), "no image of the set could be read");
            if labels.is_empty() {
                return Err(failure!(
                    "no sample is labelled";
                    "add `cls` members to the samples, or `label` in their `json` members"
                ));
            }
            Ok(Written { labels, bad_samples })
        })
    }

    /// Writes the features of this process's share of the labelled samples, and adds their labels.
    fn write_share(&self, file: &File, done: &mut Share, labels: &mut Vec<i64>) -> Result<()> {
        let Self { config, world, .. } = self;
        let (set, _) = share(self.set, *world);
        if set.is_empty() {
            return Ok(());
        }
        let mut config = (*config).clone();
        if world.has_others() {
            config.run.max_bad = BadSampleBudget::Count(u64::MAX); // the bad samples of all are counted together
        }
        let mut feed = images(&set, &config, self.device)?;
        let progress = Progress::new("features", 0, set.len());
        for batch in feed.by_ref() {
            world.check()?;
            let batch = batch?;
            labels.extend(self.write_batch(&batch.views, file)?);
            let images = batch.views.labels.size()[0].cast_unsigned();
            done.images += images;
            done.add_bad(&batch.bad_samples);
            progress.advance(images, Vec::new);
        }
        drop(progress);
        done.add_bad(&feed.finish());
        Ok(())
    }

    /// Checks that the shares of several processes do not have too many bad samples.
    fn check_bad(&self, shares: &[Share]) -> Result<()> {
        let (budget, seen) = (self.config.run.max_bad, self.set.len());
        let bad = shares.iter().map(|share| share.bad_samples).sum();
        match shares.iter().rev().find_map(|share| share.last_bad.clone()) {
            Some(last) if self.world.has_others() && budget.is_exceeded(bad, seen) => {
                Err(pipeline::Error::TooManyBad { bad, seen, budget, last }.into())
            }
            _ => Ok(()),
        }
    }

    /// Appends the features and labels of all processes to those of the lead, in the order of their shares.
    fn gather(&self, mut file: &File, labels: &mut Vec<i64>) -> Result<()> {
        let bytes: Vec<_> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        let mut others = Vec::new();
        self.world.to_lead(&bytes[..], bytes.len() as u64, |_, block| {
            others.extend_from_slice(block);
            Ok(())
        })?;
        let number = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().expect("chunks of eight"));
        let length = labels.len() as u64 * 4 * self.encoder.width().cast_unsigned();
        labels.extend(others.chunks_exact(8).map(number));
        if !self.world.is_lead() {
            file.rewind().context("cannot read the features back")?;
        }
        self.world.to_lead(file, length, |_, block| file.write_all(block).context("cannot write features"))
    }

    /// Writes the features of the labelled samples of a batch. Returns their labels.
    fn write_batch(&self, views: &Views, file: &File) -> Result<Vec<i64>> {
        let labelled = views.labels.ge(0).nonzero().view(-1);
        let (images, precision) = (views.images().get(0), self.config.train.precision);
        let features = network::features(self.encoder, &images, Mode::Evaluation, precision)?;
        let features = features.index_select(0, &labelled);
        ensure!(
            features.isfinite().all().int64_value(&[]) == 1,
            "the encoder gives numbers that are not finite"
        );
        append(file, &features)?;
        Ok(Vec::try_from(views.labels.index_select(0, &labelled).to_device(Device::Cpu))?)
    }
}
