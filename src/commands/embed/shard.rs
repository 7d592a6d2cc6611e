//! Embeds shards, one after the other.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use pipeline::BadSample;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shards::ShardSet;
use tch::{Device, Kind, Tensor};

use super::{
    args::{Args, Format},
    left_out, npy, parquet,
    rows::{Rows, Sink},
};
use crate::{
    config::Config, device, eval::images, feed::DeviceBatch, network::Network, terminal::Progress,
    world::World,
};

/// What is done of one shard.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Part {
    /// The number of the shard.
    number: usize,
    /// Whether an earlier call has embedded it.
    is_old: bool,
    /// The samples that were embedded now.
    samples: u64,
    width: usize,
    left_out: usize,
    first_left_out: Option<Value>,
}

impl Part {
    /// Counts the samples of the shard that have no row in its file.
    fn with_left_out(self, file: &Path) -> Result<Self> {
        let samples = left_out::read(file)?;
        Ok(Self { left_out: samples.len(), first_left_out: samples.into_iter().next(), ..self })
    }
}

/// Totals over the shards.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) samples: u64,
    /// Shards that an earlier call has embedded.
    pub(super) done_before: usize,
    /// The number of features of a sample.
    pub(super) width: usize,
    /// Samples without a row, in all shards.
    pub(super) left_out: usize,
    pub(super) first_left_out: Option<Value>,
}

impl Totals {
    /// Sums up the parts of all processes.
    fn of(mut parts: Vec<Part>) -> Self {
        parts.sort_by_key(|part| part.number);
        let mut totals = Self::default();
        for part in parts {
            totals.samples += part.samples;
            totals.done_before += usize::from(part.is_old);
            totals.width = totals.width.max(part.width);
            totals.left_out += part.left_out;
            totals.first_left_out = totals.first_left_out.or(part.first_left_out);
        }
        totals
    }
}

/// The inputs that all shards share.
pub(super) struct Embedding<'a> {
    pub(super) args: &'a Args,
    pub(super) set: &'a ShardSet,
    pub(super) config: &'a Config,
    pub(super) device: Device,
    pub(super) network: &'a Network,
    /// The classes' names by label.
    pub(super) names: &'a [String],
}

/// The result of embedding one shard.
struct Written {
    rows: u64,
    width: usize,
    bad_samples: Vec<BadSample>,
}

impl Embedding<'_> {
    /// Embeds this process's share of the shards that have no file yet, in order. Returns the totals of all processes.
    pub(super) fn embed_all(&self, world: World) -> Result<Totals> {
        let shards = 0..self.set.shards().len();
        // The lead looks, as machines may see a new file at different times.
        let is_old = || Ok(shards.clone().map(|number| self.path(number).exists()).collect::<Vec<_>>());
        let is_old = world.from_lead(is_old)?;
        let (old, new): (Vec<_>, Vec<_>) = shards.partition(|&number| is_old[number]);
        let costs: Vec<_> = new.iter().map(|&number| self.set.samples_in(number)).collect();
        let own: Vec<_> = world.deal(&costs).into_iter().map(|place| new[place]).collect();
        let old = if world.is_lead() { old } else { Vec::new() };
        let samples = own.iter().chain(&old).map(|&number| self.set.samples_in(number)).sum();
        let progress = Progress::new("sample", 0, samples);
        let mut parts = Vec::new();
        for number in old {
            progress.advance(self.set.samples_in(number), Vec::new);
            parts.push(Part { number, is_old: true, ..Part::default() }.with_left_out(&self.path(number))?);
        }
        for number in own {
            world.check()?;
            parts.extend(self.embed(number, &progress)?);
        }
        drop(progress);
        Ok(Totals::of(world.every(&parts)?.into_iter().flatten().collect()))
    }

    /// Returns the path of a shard's file.
    fn path(&self, number: usize) -> PathBuf {
        let Args { out, format, .. } = self.args;
        out.join(format!("{number:05}-{}.{}", self.name(number), format.extension()))
    }

    /// Returns the name of a shard without its folder and `.tar`.
    fn name(&self, number: usize) -> &str {
        self.set.shards()[number].base().trim_end_matches(".tar")
    }

    /// Embeds a shard. Returns `None` if it contains no images.
    fn embed(&self, number: usize, progress: &Progress) -> Result<Option<Part>> {
        let (name, path) = (self.name(number), self.path(number));
        let keys = self.set.keys(number)?;
        if keys.is_empty() {
            tracing::warn!("{name}: the shard contains no images");
            return Ok(None);
        }
        let Written { rows, width, .. } = self.write(name, &keys, &path, progress)?;
        if rows == 0 {
            tracing::warn!("{name}: none of its {} images can be read", keys.len());
        }
        tracing::info!("{}: {rows} samples", path.display());
        Part { number, samples: rows, width, ..Part::default() }.with_left_out(&path).map(Some)
    }

    /// Writes the file of a shard with these samples, and the list of those left out.
    fn write(&self, name: &str, keys: &[(u64, String)], path: &Path, progress: &Progress) -> Result<Written> {
        let part = self.set.subset(keys.iter().map(|(index, _)| *index).collect());
        let mut sink: Box<dyn Sink> = match self.args.format {
            Format::Parquet => Box::new(parquet::Writer::create(path, self.names)?),
            Format::Npy => Box::new(npy::Writer::create(path, self.names)?),
        };
        let count = |rows: u64| progress.advance(rows, || vec![name.to_owned()]);
        let work = || self.write_rows(&part, keys, &mut *sink, &count);
        let written = device::within_memory(self.device, || "embedding".to_owned(), Vec::new, work)?;
        left_out::write(path, &written.bad_samples)?;
        sink.finish()?;
        Ok(written)
    }

    /// Writes the rows of `part`, whose samples have these `keys`. `count` is told how many rows are done.
    fn write_rows(
        &self,
        part: &ShardSet,
        keys: &[(u64, String)],
        sink: &mut dyn Sink,
        count: &dyn Fn(u64),
    ) -> Result<Written> {
        let mut written = Written { rows: 0, width: 0, bad_samples: Vec::new() };
        let mut feed = images(part, self.config, self.device)?;
        for batch in feed.by_ref() {
            let mut batch = batch?;
            let rows = self.rows(&batch, keys)?;
            let done = rows.keys.len() as u64;
            count(done);
            written.rows += done;
            written.width = rows.width;
            written.bad_samples.append(&mut batch.bad_samples);
            sink.write(rows)?;
        }
        written.bad_samples.extend(feed.finish());
        Ok(written)
    }

    /// Computes the rows of a batch.
    fn rows(&self, batch: &DeviceBatch, keys: &[(u64, String)]) -> Result<Rows> {
        let values = self.features(&batch.views.images().get(0))?;
        let indices = Vec::<i64>::try_from(&batch.views.indices)?;
        let rows = Rows {
            keys: indices.iter().map(|&index| keys[index as usize].1.clone()).collect(),
            labels: Vec::try_from(&batch.views.labels)?,
            values: Vec::try_from(&values.view(-1))?,
            width: values.size()[1] as usize,
        };
        ensure!(
            rows.values.iter().all(|value| value.is_finite()),
            "the encoder gives numbers that are not finite"
        );
        Ok(rows)
    }

    /// Returns the features (n, width) of images (n, 3, h, w), on the CPU.
    fn features(&self, images: &Tensor) -> Result<Tensor> {
        let _scope = self.config.train.precision.of_evaluation(self.device).autocast(self.device)?;
        let features = tch::no_grad(|| self.network.encoder().pooled(images, &self.args.layer));
        Ok(features.to_device(Device::Cpu).to_kind(Kind::Float).contiguous())
    }
}
