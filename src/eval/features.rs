//! Frozen features of a whole set, kept in a file so that memory does not grow with the set.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use tch::{Device, Kind, Tensor};

use crate::hint::WithHint;

/// Features (n, width) in f32 and labels of a set's labelled samples, in the order of the set. The features
/// are in a file, which the system caches as far as memory is free.
#[derive(Debug)]
pub struct Features {
    pub(super) file: File,
    pub(super) width: i64,
    /// Labels (n), i64, on the CPU.
    pub labels: Tensor,
}

impl Features {
    /// Opens features in a cache. Returns none if the files are missing or incomplete.
    pub(super) fn open(path: &Path, width: i64) -> Result<Option<Self>> {
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

pub(super) fn labels_path(path: &Path) -> PathBuf {
    path.with_extension("labels")
}

pub(super) const NO_TEMPORARY_FILE: &str = "cannot create a temporary file for features";

pub(super) fn append(file: &File, features: &Tensor) -> Result<()> {
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
