//! Frozen features of a whole set, kept in a file so that memory does not grow with the set.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use shards::ShardSet;
use tch::{Device, Kind, Tensor};
use xxhash_rust::xxh3::xxh3_64;

use super::samples::images;
use crate::{
    config::Config,
    encoder::{Encoder, Mode},
    failure,
    files::Partial,
    hint::WithHint,
    network,
    terminal::Progress,
    views::Views,
};
use torchkit::Precision;

/// Features (n, width) in f32 and labels of a set's labelled samples, in the order of the set. The features
/// are in a file, which the system caches as far as memory is free.
#[derive(Debug)]
pub struct Features {
    file: File,
    width: i64,
    /// Labels (n), i64, on the CPU.
    pub labels: Tensor,
}

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
        let source = Source { encoder, set, config, device };
        if let Some(cache) = cache {
            return source.cached(identity, cache);
        }
        let file = tempfile::tempfile().context(NO_TEMPORARY_FILE)?;
        let Written { labels, .. } = source.write(&file)?;
        Ok(Self { file, width: encoder.width(), labels })
    }

    /// Opens features in a cache. Returns none if the files are missing or incomplete.
    fn open(path: &Path, width: i64) -> Result<Option<Self>> {
        let (Ok(file), Ok(labels)) = (File::open(path), fs::read(labels_path(path))) else { return Ok(None) };
        let labels: Vec<_> = labels
            .chunks_exact(8)
            .map(|bytes| i64::from_le_bytes(bytes.try_into().expect("chunks of eight")))
            .collect();
        let is_complete = file.metadata()?.len() == labels.len() as u64 * 4 * width.cast_unsigned();
        Ok(is_complete.then(|| Self { file, width, labels: Tensor::from_slice(&labels) }))
    }

    /// Writes given features (n, width) with labels (n) to a temporary file.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn of(values: &Tensor, labels: &Tensor) -> Result<Self> {
        Self::of_blocks([(values.shallow_clone(), labels.shallow_clone())])
    }

    /// Writes blocks of features (n, width) with labels (n) to a temporary file. Only one block is in memory
    /// at a time.
    ///
    /// # Errors
    /// If there is no block, or the file cannot be written.
    pub fn of_blocks(blocks: impl IntoIterator<Item = (Tensor, Tensor)>) -> Result<Self> {
        let file = tempfile::tempfile().context(NO_TEMPORARY_FILE)?;
        let (mut width, mut labels) = (0, Vec::new());
        for (values, block_labels) in blocks {
            width = values.size()[1];
            append(&file, &values)?;
            labels.push(block_labels.to_device(Device::Cpu));
        }
        ensure!(!labels.is_empty(), "no features are given");
        Ok(Self { file, width, labels: Tensor::cat(&labels, 0) })
    }

    /// Returns the number of samples.
    pub fn len(&self) -> i64 {
        self.labels.size()[0]
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of channels.
    pub fn width(&self) -> i64 {
        self.width
    }

    /// Reads the features (count, width) of consecutive samples, on the CPU.
    ///
    /// # Errors
    ///
    /// If there are fewer samples, or the file cannot be read.
    pub fn rows(&self, start: i64, count: i64) -> Result<Tensor> {
        let mut rows = vec![0; (count * self.width) as usize * 4];
        self.read(start, &mut rows)?;
        Ok(Tensor::from_data_size(&rows, &[count, self.width], Kind::Float))
    }

    /// Reads the features (n, width) of the samples with these `numbers`, on the CPU.
    ///
    /// # Errors
    ///
    /// If a number is too large, or the file cannot be read.
    pub fn gather(&self, numbers: &[i64]) -> Result<Tensor> {
        let mut rows = vec![0; numbers.len() * self.width as usize * 4];
        for (row, &number) in rows.chunks_exact_mut(self.width as usize * 4).zip(numbers) {
            self.read(number, row)?;
        }
        Ok(Tensor::from_data_size(&rows, &[numbers.len() as i64, self.width], Kind::Float))
    }

    fn read(&self, start: i64, rows: &mut [u8]) -> Result<()> {
        let offset = (start * self.width).cast_unsigned() * 4;
        self.file.read_exact_at(rows, offset).context("cannot read the features back")
    }
}

fn labels_path(path: &Path) -> PathBuf {
    path.with_extension("labels")
}

const NO_TEMPORARY_FILE: &str = "cannot create a temporary file for features";

/// An encoder and the set whose features it computes.
struct Source<'a> {
    encoder: &'a dyn Encoder,
    set: &'a ShardSet,
    config: &'a Config,
    device: Device,
}

/// The result of writing features.
struct Written {
    /// The labels of the samples whose features were written.
    labels: Tensor,
    bad_samples: usize,
}

impl Source<'_> {
    /// Reads the features from the cache, or computes them and keeps them there.
    fn cached(&self, identity: &str, cache: &Path) -> Result<Features> {
        fs::create_dir_all(cache).with_context(|| format!("cannot create `{}`", cache.display()))?;
        let (path, width) = (cache.join(self.file_name(identity)), self.encoder.width());
        if let Some(found) = Features::open(&path, width)? {
            tracing::info!("features of {} samples from `{}`", found.len(), path.display());
            return Ok(found);
        }
        let cannot = || format!("cannot write `{}`", path.display());
        let partial = Partial::beside(&path).with_context(cannot)?;
        let file = partial.create().with_context(cannot)?;
        let Written { labels, bad_samples } = self.write(&file)?;
        // Bad samples may be readable next time, so incomplete features are not kept.
        if bad_samples == 0 {
            let numbers = Vec::<i64>::try_from(&labels)?;
            let numbers: Vec<_> = numbers.into_iter().flat_map(i64::to_le_bytes).collect();
            let beside = Partial::beside(&labels_path(&path));
            beside.and_then(|labels| labels.write(&numbers)).with_context(cannot)?;
            partial.finish().with_context(cannot)?;
        }
        Ok(Features { file, width, labels })
    }

    /// Returns the name of the file in the cache, which identifies everything that the features depend on.
    fn file_name(&self, identity: &str) -> String {
        let Self { encoder, set, config, device } = self;
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

    /// Writes the features of all labelled samples to a file.
    fn write(&self, file: &File) -> Result<Written> {
        let (mut labels, mut bad_samples) = (Vec::new(), 0);
        let mut feed = images(self.set, self.config, self.device)?;
        let progress = Progress::new("features", 0, self.set.len());
        for batch in feed.by_ref() {
            let batch = batch?;
            labels.push(self.write_batch(&batch.views, file)?);
            bad_samples += batch.bad_samples.len();
            progress.advance(batch.views.labels.size()[0].cast_unsigned(), Vec::new);
        }
        drop(progress);
        bad_samples += feed.finish().len();
        if bad_samples > 0 {
            tracing::warn!("bad samples left out: {bad_samples}");
        }
        ensure!(!labels.is_empty(), "no image of the set could be read");
        let labels = Tensor::cat(&labels, 0);
        if labels.numel() == 0 {
            return Err(failure!(
                "no sample is labelled";
                "add `cls` members to the samples, or `label` in their `json` members"
            ));
        }
        Ok(Written { labels, bad_samples })
    }

    /// Writes the features of the labelled samples of a batch. Returns their labels, on the CPU.
    fn write_batch(&self, views: &Views, file: &File) -> Result<Tensor> {
        let labelled = views.labels.ge(0).nonzero().view(-1);
        let (images, precision) = (views.images().get(0), self.config.train.precision);
        let features = network::features(self.encoder, &images, Mode::Evaluation, precision)?;
        let features = features.index_select(0, &labelled);
        ensure!(
            features.isfinite().all().int64_value(&[]) == 1,
            "the encoder gives numbers that are not finite"
        );
        append(file, &features)?;
        Ok(views.labels.index_select(0, &labelled).to_device(Device::Cpu))
    }
}

fn append(file: &File, features: &Tensor) -> Result<()> {
    let features = features.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
    let mut bytes = vec![0u8; features.numel() * 4];
    features.copy_data_u8(&mut bytes, features.numel());
    let mut writer = BufWriter::new(file);
    let written = writer.write_all(&bytes).and_then(|()| writer.flush());
    written.context("cannot write features").with_hint(|| {
        "free space in the folder of temporary files (TMPDIR), or name another folder with --cache-features"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_back_as_they_were_written() {
        let _alone = crate::testing::lock_generator();
        let values = Tensor::randn([9, 5], (Kind::Float, Device::Cpu));
        let features = Features::of(&values, &Tensor::arange(9, (Kind::Int64, Device::Cpu))).unwrap();
        assert_eq!((features.len(), features.width(), features.is_empty()), (9, 5, false));
        assert!(features.rows(2, 4).unwrap().equal(&values.narrow(0, 2, 4)));
        let chosen = values.index_select(0, &Tensor::from_slice(&[7i64, 0, 7]));
        assert!(features.gather(&[7, 0, 7]).unwrap().equal(&chosen));
        assert!(features.rows(7, 3).is_err());
    }
}
