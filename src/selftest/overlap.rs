//! Batches that are copied to the device while it computes.

use std::{path::Path, time::Instant};

use anyhow::{Result, ensure};
use pipeline::{LoaderConfig, Preset, Rgb};
use serde_json::json;
use shards::{Division, IndexConfig, LocalSource, Order, Position, ShardSet, ShardWriter, Shuffle};
use tch::{Device, Kind, Tensor};

use super::check::{Found, Options};
use crate::{data, feed::Feed};

const BATCHES: u64 = 60;
const SAMPLES: u64 = 32;

/// Returns the gray of all pixels of a batch.
fn gray(batch: u64) -> u8 {
    (batch * 4) as u8
}

/// Checks that the device sees batches as they were sent: where it has so much to do that batches wait for
/// it, and where it has so little that it waits for them.
pub(super) fn overlap(options: &Options) -> Result<Found> {
    let device = options.device;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("x.tar");
    write_shard(&path)?;
    let set = ShardSet::open(LocalSource::new(&[path.display().to_string()])?, &IndexConfig::default())?;
    let idle = waited(&set, 0, device)?;
    let busy = waited(&set, if device.is_cuda() { 40 } else { 1 }, device)?;
    ensure!(!device.is_cuda() || busy < 0.1, "the busy device waited for copies for {busy:.2} of the time");
    Ok(Found::Figures(json!({"batches": 2 * BATCHES, "waited_idle": idle, "waited_busy": busy})))
}

fn write_shard(path: &Path) -> Result<()> {
    let mut writer = ShardWriter::create(path)?;
    for number in 0..BATCHES * SAMPLES {
        let mut image = Rgb::black(146, 146);
        image.pixels.fill(gray(number / SAMPLES));
        writer.append(&number.to_string(), &[("jpg", &pipeline::encode_jpeg(&image, 95)?)])?;
    }
    writer.finish()?;
    Ok(())
}

/// Checks all batches with `products` products of large matrices after each. Returns the share of the time
/// that the device waited for copies.
fn waited(set: &ShardSet, products: usize, device: Device) -> Result<f64> {
    let start = Instant::now();
    let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
    let samples = set.samples(order, Division::default(), Position::default());
    let loader =
        LoaderConfig { workers: data::cores(), batch_size: SAMPLES as usize, ..LoaderConfig::default() };
    let preset = Preset::In128;
    let mut feed =
        Feed::spawn(samples, preset.evaluation(), (preset.normalization(), Kind::Float), &loader, device)?;
    let ranges = ranges(&mut feed, products, device)?;
    ensure!(ranges.len() as u64 == BATCHES, "{} batches of {BATCHES}", ranges.len());
    for (number, range) in (0..).zip(&ranges) {
        check_gray(number, range)?;
    }
    Ok(feed.take_waited()?.as_secs_f64() / start.elapsed().as_secs_f64())
}

/// Returns the least and the greatest number of each batch, taken after the products.
fn ranges(feed: &mut Feed, products: usize, device: Device) -> Result<Vec<Tensor>> {
    let size = if device.is_cuda() { 4096 } else { 64 };
    let work = Tensor::ones([size, size], (Kind::Float, device)) / size as f64;
    let mut product = work.copy();
    let mut ranges = Vec::new();
    for batch in feed.by_ref() {
        let batch = batch?;
        for _ in 0..products {
            product = product.matmul(&work);
        }
        let all = [0i64; 0];
        let images = batch.views.images() + product.get(0).get(0) * 0.0;
        let ends = [images.amin(all.as_slice(), false), images.amax(all.as_slice(), false)];
        ranges.push(Tensor::stack(&ends, 0));
    }
    Ok(ranges)
}

/// Checks the range of a batch. Normalized, its one gray is another number in each channel; the range is that
/// of the three.
fn check_gray(number: u64, range: &Tensor) -> Result<()> {
    let normalization = Preset::In128.normalization();
    let gray = f64::from(gray(number));
    let mut expected = [0, 1, 2].map(|k| (gray - normalization.mean[k]) / normalization.std[k]);
    expected.sort_by(f64::total_cmp);
    for (k, bound) in [expected[0], expected[2]].into_iter().enumerate() {
        let off = (range.double_value(&[k as i64]) - bound).abs();
        ensure!(off < 0.04, "batch {number} is off by {off:.3}");
    }
    Ok(())
}
