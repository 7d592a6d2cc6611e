//! Frozen features of a whole set, in a file, so that memory does not grow with the set.

use std::{
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
    feed::DeviceBatch,
    files::Partial,
    hint::WithHint,
    network,
    terminal::Progress,
};
use torchkit::Precision;

/// Features (n, width) in f32 of a set's labelled samples, with their classes, in the order of the set. They lie in a file,
/// of which the system keeps in memory what there is room for.
#[derive(Debug)]
pub struct Features {
    file: File,
    width: i64,
    /// Classes (n), i64, on the CPU.
    pub labels: Tensor,
}

impl Features {
    /// Runs an encoder in evaluation mode over a set, un-augmented. With a cache folder they are written there, or found there
    /// from an earlier time under the same `identity` of the encoder.
    pub fn compute(
        encoder: &dyn Encoder,
        identity: &str,
        set: &ShardSet,
        config: &Config,
        device: Device,
        cache: Option<&Path>,
    ) -> Result<Self> {
        let width = encoder.width();
        let Some(cache) = cache else {
            let file = tempfile::tempfile().context("cannot make a temporary file for features")?;
            let (labels, _) = write(&file, encoder, set, config, device)?;
            return Ok(Self { file, width, labels });
        };
        fs::create_dir_all(cache).with_context(|| format!("cannot make `{}`", cache.display()))?;
        let mut what =
            format!("{identity} {:x} {} {} {width}", set.digest(), config.preset, config.data.decode);
        let precision = config.train.precision.of_evaluation(device);
        if precision != Precision::F32 {
            what = format!("{what} {precision}");
        }
        let path = cache.join(format!("{:016x}.features", xxh3_64(what.as_bytes())));
        if let Some(found) = Self::open(&path, width)? {
            tracing::info!("features of {} samples from `{}`", found.len(), path.display());
            return Ok(found);
        }
        let cannot = || format!("cannot write `{}`", path.display());
        let partial = Partial::beside(&path).with_context(cannot)?;
        let file = partial.create().with_context(cannot)?;
        let (labels, bad) = write(&file, encoder, set, config, device)?;
        if bad > 0 {
            // What could not be read today may be tomorrow.
            return Ok(Self { file, width, labels });
        }
        let numbers = Vec::<i64>::try_from(&labels)?;
        let numbers: Vec<_> = numbers.into_iter().flat_map(i64::to_le_bytes).collect();
        Partial::beside(&labels_path(&path))
            .and_then(|labels| labels.write(&numbers))
            .with_context(cannot)?;
        partial.finish().with_context(cannot)?;
        Ok(Self { file, width, labels })
    }

    fn open(path: &Path, width: i64) -> Result<Option<Self>> {
        let (Ok(file), Ok(labels)) = (File::open(path), fs::read(labels_path(path))) else { return Ok(None) };
        let labels: Vec<_> = labels
            .chunks_exact(8)
            .map(|bytes| i64::from_le_bytes(bytes.try_into().expect("chunks of eight")))
            .collect();
        let is_whole = file.metadata()?.len() == labels.len() as u64 * 4 * width.cast_unsigned();
        Ok(is_whole.then(|| Self { file, width, labels: Tensor::from_slice(&labels) }))
    }

    /// Of features (n, width) that are there already, with their labels (n).
    pub fn of(values: &Tensor, labels: &Tensor) -> Result<Self> {
        Self::of_blocks([(values.shallow_clone(), labels.shallow_clone())])
    }

    /// The same of one block after the other, of which no two are needed at a time.
    ///
    /// # Errors
    /// If there is no block, or the file cannot be written.
    pub fn of_blocks(blocks: impl IntoIterator<Item = (Tensor, Tensor)>) -> Result<Self> {
        let file = tempfile::tempfile().context("cannot make a temporary file for features")?;
        let (mut width, mut labels) = (0, Vec::new());
        for (values, of_values) in blocks {
            width = values.size()[1];
            append(&file, &values)?;
            labels.push(of_values.to_device(Device::Cpu));
        }
        ensure!(!labels.is_empty(), "there are no features");
        Ok(Self { file, width, labels: Tensor::cat(&labels, 0) })
    }

    /// Samples.
    pub fn len(&self) -> i64 {
        self.labels.size()[0]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Channels.
    pub fn width(&self) -> i64 {
        self.width
    }

    /// Features (count, width) of neighbours, on the CPU.
    pub fn rows(&self, start: i64, count: i64) -> Result<Tensor> {
        let mut rows = vec![0; (count * self.width) as usize * 4];
        self.read(start, &mut rows)?;
        Ok(Tensor::from_data_size(&rows, &[count, self.width], Kind::Float))
    }

    /// Features (n, width) of the samples of these numbers, on the CPU.
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

/// Writes the features of all labelled samples; gives the labels, and how many samples could not be read.
fn write(
    file: &File,
    encoder: &dyn Encoder,
    set: &ShardSet,
    config: &Config,
    device: Device,
) -> Result<(Tensor, usize)> {
    let (mut labels, mut bad) = (Vec::new(), 0);
    let mut feed = images(set, config, device)?;
    let progress = Progress::new("features", 0, set.len());
    for staged in feed.by_ref() {
        let staged = staged?;
        let DeviceBatch { views, bad_samples, .. } = &staged;
        let labelled = views.labels.ge(0).nonzero().view(-1);
        let features =
            network::features(encoder, &views.images.get(0), Mode::Evaluation, config.train.precision)?;
        let features = features.index_select(0, &labelled);
        ensure!(
            features.isfinite().all().int64_value(&[]) == 1,
            "the encoder gives numbers that are not finite"
        );
        append(file, &features)?;
        labels.push(views.labels.index_select(0, &labelled).to_device(Device::Cpu));
        bad += bad_samples.len();
        progress.advance(views.labels.size()[0].cast_unsigned(), Vec::new);
    }
    drop(progress);
    bad += feed.finish().len();
    if bad > 0 {
        tracing::warn!("{bad} unreadable samples take no part");
    }
    ensure!(!labels.is_empty(), "no image of the set could be read");
    let labels = Tensor::cat(&labels, 0);
    if labels.numel() == 0 {
        return Err(failure!(
            "no sample is labelled";
            "add `cls` members to the samples, or `label` in their `json` members"
        ));
    }
    Ok((labels, bad))
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
    fn features_come_back_as_they_were_written() {
        let _alone = crate::generator();
        let values = Tensor::randn([9, 5], (Kind::Float, Device::Cpu));
        let features = Features::of(&values, &Tensor::arange(9, (Kind::Int64, Device::Cpu))).unwrap();
        assert_eq!((features.len(), features.width(), features.is_empty()), (9, 5, false));
        assert!(features.rows(2, 4).unwrap().equal(&values.narrow(0, 2, 4)));
        let chosen = values.index_select(0, &Tensor::from_slice(&[7i64, 0, 7]));
        assert!(features.gather(&[7, 0, 7]).unwrap().equal(&chosen));
        assert!(features.rows(7, 3).is_err());
    }
}
