//! Embeds shards, one after the other.

use std::path::Path;

use anyhow::{Result, ensure};
use pipeline::BadSample;
use serde_json::Value;
use shards::ShardSet;
use tch::{Device, Kind, Tensor};

use super::{
    args::{Args, Format},
    left_out, npy, parquet,
    rows::{Rows, Sink},
};
use crate::{config::Config, device, eval::images, feed::DeviceBatch, network::Network, terminal::Progress};

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
    /// Counts the samples of a shard that have no row in its file.
    fn add_left_out(&mut self, file: &Path) -> Result<()> {
        let samples = left_out::read(file)?;
        self.left_out += samples.len();
        self.first_left_out = self.first_left_out.take().or_else(|| samples.into_iter().next());
        Ok(())
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
    pub(super) progress: &'a Progress,
}

/// The result of embedding one shard.
struct Written {
    rows: u64,
    width: usize,
    bad_samples: Vec<BadSample>,
}

impl Embedding<'_> {
    /// Embeds the shards that have no file yet, in order.
    pub(super) fn embed_all(&self) -> Result<Totals> {
        let mut totals = Totals::default();
        (0..self.set.shards().len()).try_for_each(|number| self.embed(number, &mut totals))?;
        Ok(totals)
    }

    /// Embeds a shard, unless it has a file.
    fn embed(&self, number: usize, totals: &mut Totals) -> Result<()> {
        let Self { args, set, .. } = self;
        let name = set.shards()[number].base().trim_end_matches(".tar");
        let path = args.out.join(format!("{number:05}-{name}.{}", args.format.extension()));
        if path.exists() {
            totals.done_before += 1;
            self.progress.advance(set.samples_in(number), Vec::new);
            return totals.add_left_out(&path);
        }
        let keys = set.keys(number)?;
        if keys.is_empty() {
            tracing::warn!("{name}: the shard contains no images");
            return Ok(());
        }
        let Written { rows, width, .. } = self.write(name, &keys, &path)?;
        if rows == 0 {
            tracing::warn!("{name}: none of its {} images can be read", keys.len());
        }
        totals.samples += rows;
        totals.width = totals.width.max(width);
        tracing::info!("{}: {rows} samples", path.display());
        totals.add_left_out(&path)
    }

    /// Writes the file of a shard with these samples, and the list of those left out.
    fn write(&self, name: &str, keys: &[(u64, String)], path: &Path) -> Result<Written> {
        let part = self.set.subset(keys.iter().map(|(index, _)| *index).collect());
        let mut sink: Box<dyn Sink> = match self.args.format {
            Format::Parquet => Box::new(parquet::Writer::create(path, self.names)?),
            Format::Npy => Box::new(npy::Writer::create(path, self.names)?),
        };
        let work = || self.write_rows(name, &part, keys, &mut *sink);
        let written = device::within_memory(self.device, || "embedding".to_owned(), Vec::new, work)?;
        left_out::write(path, &written.bad_samples)?;
        sink.finish()?;
        Ok(written)
    }

    /// Writes the rows of `part`, whose samples have these `keys`.
    fn write_rows(
        &self,
        name: &str,
        part: &ShardSet,
        keys: &[(u64, String)],
        sink: &mut dyn Sink,
    ) -> Result<Written> {
        let mut written = Written { rows: 0, width: 0, bad_samples: Vec::new() };
        let mut feed = images(part, self.config, self.device)?;
        for batch in feed.by_ref() {
            let mut batch = batch?;
            let rows = self.rows(&batch, keys)?;
            let count = rows.keys.len() as u64;
            self.progress.advance(count, || vec![name.to_owned()]);
            written.rows += count;
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
