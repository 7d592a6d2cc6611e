//! Writes samples of a source into shards, several at a time.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use rayon::{ThreadPoolBuilder, prelude::*};
use serde::{Deserialize, Serialize};
use shards::{ShardWriter, write_index_beside};

use super::source::{Image, Source};
use crate::{
    chain::one_line,
    error::{ImageError, Result},
    progress::{Progress, Stage},
};

/// The most pixels of an image that is resized: 600 MB in memory.
const MAX_PIXELS: u64 = 200_000_000;

/// The most left out samples that are named one by one.
const NAMED: usize = 100;

/// The size and quality of images that are made smaller and encoded as JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    /// The length in pixels that the short side gets; images with a short side that is not longer stay as
    /// they are.
    pub short_side: u32,
    /// The quality of the JPEG, from 1 to 100.
    pub quality: u8,
}

/// What was written of some shards: the numbers of images that were not packed as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Written {
    /// The number of each image that was left out, with the reason.
    bad: Vec<(u32, String)>,
    /// The images that were converted to PNG.
    converted: u64,
}

impl Written {
    /// Sums up what was written of all shards, and logs the images that were left out, in the order of the source.
    /// Returns the numbers of those, and of the converted ones.
    pub(super) fn report(all: Vec<Self>) -> [u64; 2] {
        let converted = all.iter().map(|written| written.converted).sum();
        if converted > 0 {
            tracing::info!(
                "converted to PNG, without loss: {converted} images (GIF, BMP, TIFF; the first frame or page)"
            );
        }
        let mut bad: Vec<_> = all.into_iter().flat_map(|written| written.bad).collect();
        bad.sort();
        for (_, reason) in bad.iter().take(NAMED) {
            tracing::warn!("left out: {reason}");
        }
        match bad.len() {
            0 => {}
            few @ ..=NAMED => tracing::warn!("images left out: {few}"),
            many => tracing::warn!("images left out: {many}, of which the first {NAMED} are named above"),
        }
        [bad.len() as u64, converted]
    }
}

/// The data that the threads share.
pub(super) struct Job<'a> {
    source: &'a dyn Source,
    resize: Option<Resize>,
    progress: &'a dyn Progress,
    bad: Mutex<Vec<(u32, String)>>,
    converted: AtomicU64,
}

impl<'a> Job<'a> {
    pub(super) fn new(source: &'a dyn Source, resize: Option<Resize>, progress: &'a dyn Progress) -> Self {
        Self { source, resize, progress, bad: Mutex::default(), converted: AtomicU64::new(0) }
    }

    /// Writes shards: the samples of each, and its path. Each thread takes the next one, so that shards are written in
    /// their order.
    pub(super) fn write(self, shards: &[(&[u32], PathBuf)], workers: Option<usize>) -> Result<Written> {
        self.progress.begin(Stage::Packing, shards.iter().map(|(samples, _)| samples.len() as u64).sum());
        let pool = ThreadPoolBuilder::new().num_threads(workers.unwrap_or(0)).build()?;
        let next = AtomicUsize::new(0);
        let worker = |_: usize| -> Result<()> {
            while let Some((samples, path)) = shards.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.write_shard(samples, path)?;
            }
            Ok(())
        };
        pool.install(|| (0..pool.current_num_threads()).into_par_iter().try_for_each(worker))?;
        self.progress.end();
        let bad = self.bad.into_inner().expect("no thread panicked");
        Ok(Written { bad, converted: self.converted.into_inner() })
    }

    fn write_shard(&self, samples: &[u32], path: &Path) -> Result<()> {
        let mut writer = ShardWriter::create(path)?;
        for &number in samples {
            match self.read(number as usize) {
                Ok(image) => append(&mut writer, &self.source.key(number as usize), &image)?,
                Err(error) => {
                    let reason = one_line(&error);
                    self.bad.lock().expect("no thread panics here").push((number, reason));
                }
            }
            self.progress.advance(1, 0);
        }
        writer.finish()?;
        Ok(write_index_beside(path)?)
    }

    fn read(&self, number: usize) -> Result<Image, ImageError> {
        let mut image = self.source.read(number)?;
        if let Some(resize) = self.resize {
            let key = || self.source.key(number);
            image = resized(image, resize)
                .map_err(|error| ImageError::Resize { key: key(), source: error.into() })?;
        }
        self.converted.fetch_add(image.is_converted.into(), Ordering::Relaxed);
        Ok(image)
    }
}

fn append(writer: &mut ShardWriter, key: &str, image: &Image) -> Result<()> {
    let label = image.label.map(|label| label.to_string());
    let mut members = vec![(image.extension, image.data.as_slice())];
    members.extend(label.as_deref().map(|label| ("cls", label.as_bytes())));
    Ok(writer.append(key, &members)?)
}

/// Resizes the image to the requested short side, or returns it unchanged if its short side is not longer.
fn resized(image: Image, resize: Resize) -> pipeline::Result<Image> {
    let pixels = pipeline::decode(&image.data, MAX_PIXELS)?;
    let short_side = pixels.width.min(pixels.height);
    if short_side <= resize.short_side {
        return Ok(image);
    }
    let scaled = |side: u32| {
        let exact = f64::from(side) * f64::from(resize.short_side) / f64::from(short_side);
        exact.round() as u32
    };
    let smaller = pipeline::resize(&pixels, scaled(pixels.width), scaled(pixels.height));
    let data = pipeline::encode_jpeg(&smaller, resize.quality)?;
    Ok(Image { extension: "jpg", data, is_converted: false, ..image })
}
