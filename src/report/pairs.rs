//! Images of samples and the views that training sees of them, re-drawn from the shards.

use anyhow::{Context, Result};
use pipeline::{DecodeMode, Recipe, Renderer, Rgb, SampleSeed};
use shards::{Division, Order, Position, Sample, ShardSet, Shuffle};

use crate::config::Config;

/// Pixels between two pictures.
pub(crate) const GAP: u32 = 4;

/// The settings that determine the views of a sample.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// The operations that make the views.
    pub recipe: Recipe,
    /// The seed of the run.
    pub seed: u64,
    /// How JPEGs are decoded.
    pub decode: DecodeMode,
}

/// An image and its views, one after the other: (side, side, 3) bytes for each.
#[derive(Debug)]
pub struct Rendered {
    /// The whole image.
    pub image: Rgb,
    /// The views.
    pub views: Vec<u8>,
}

/// A sample, its image, and the views that training sees of it.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The sample's key.
    pub key: String,
    /// Its label, if it has one.
    pub label: Option<u32>,
    /// The whole image.
    pub image: Rgb,
    /// The views in the order of the recipe, each a square of u8 RGB.
    pub views: Vec<Rgb>,
}

impl Drawing {
    /// Returns the settings of a run.
    pub fn of(config: &Config) -> Self {
        Self { recipe: config.recipe(), seed: config.seed, decode: config.data.decode }
    }

    /// Decodes a sample's image and renders its views in `epoch`.
    ///
    /// # Errors
    ///
    /// If the image cannot be read or decoded, or is too thin for the recipe.
    pub fn render(&self, sample: &Sample, epoch: u64) -> Result<Rendered> {
        let seed = SampleSeed { seed: self.seed, epoch, index: sample.index };
        let max_pixels = max_pixels();
        let mut renderer = Renderer::new(self.recipe.clone(), self.decode, max_pixels);
        let mut views = vec![0; self.recipe.bytes()];
        let decoded = sample.image.read(|bytes| -> pipeline::Result<Rgb> {
            renderer.decode(bytes, seed)?;
            renderer.render(&mut views);
            pipeline::decode(bytes, max_pixels)
        });
        let name = || format!("sample `{}`, shard `{}`", sample.key, sample.shard);
        let image = decoded.with_context(name)?.with_context(name)?;
        Ok(Rendered { image, views })
    }

    /// Splits the bytes of all views of an image into views.
    fn split(&self, mut bytes: &[u8]) -> Vec<Rgb> {
        let mut views = Vec::new();
        for (side, _) in self.recipe.views() {
            let (view, rest) = bytes.split_at(3 * (side as usize).pow(2));
            views.push(Rgb { width: side, height: side, pixels: view.to_vec() });
            bytes = rest;
        }
        views
    }
}

/// Returns the most pixels of an image that is decoded.
fn max_pixels() -> u64 {
    pipeline::LoaderConfig::default().max_pixels
}

/// Draws samples of a set, by their indices, with the views that a run with these settings sees of them in `epoch`,
/// as `amdim-stream show` draws them. Samples that cannot be read or decoded are left out.
pub fn pairs(config: &Config, set: &ShardSet, indices: &[u64], epoch: u64) -> Vec<Pair> {
    let drawing = Drawing::of(config);
    let draw = |sample: Sample| {
        let Rendered { image, views } = drawing.render(&sample, epoch).ok()?;
        Some(Pair { key: sample.key, label: sample.label, image, views: drawing.split(&views) })
    };
    samples(set, indices).into_iter().filter_map(draw).collect()
}

/// Draws samples below each other, each as a row of its views, with gaps between them. Returns `None` without a sample.
pub fn grid(pairs: &[Pair]) -> Option<Rgb> {
    let row = |pair: &Pair| {
        let width = pair.views.iter().map(|view| view.width + GAP).sum::<u32>() - GAP;
        (width, pair.views.iter().map(|view| view.height).max().unwrap_or(0))
    };
    let rows: Vec<_> =
        pairs.iter().filter(|pair| !pair.views.is_empty()).map(|pair| (pair, row(pair))).collect();
    let width = rows.iter().map(|(_, (width, _))| *width).max()?;
    let height = rows.iter().map(|(_, (_, height))| height + GAP).sum::<u32>() - GAP;
    let mut grid = Rgb { width, height, pixels: vec![255; 3 * width as usize * height as usize] };
    let mut top = 0;
    for (pair, (_, height)) in rows {
        let mut left = 0;
        for view in &pair.views {
            copy_to(&mut grid, (left, top), &view.pixels, view.width);
            left += view.width + GAP;
        }
        top += height + GAP;
    }
    Some(grid)
}

/// Copies the pixels of an image that is `width` wide to a place in another one.
pub(crate) fn copy_to(to: &mut Rgb, (left, top): (u32, u32), pixels: &[u8], width: u32) {
    let (stride, row) = (to.stride(), 3 * width as usize);
    let rows = to.pixels.chunks_exact_mut(stride).skip(top as usize);
    for (out, row_pixels) in rows.zip(pixels.chunks_exact(row)) {
        out[3 * left as usize..][..row].copy_from_slice(row_pixels);
    }
}

/// Returns `count` evenly spread indices of a set of `samples` samples, or all of them.
pub fn evenly(samples: u64, count: u64) -> Vec<u64> {
    let count = count.min(samples);
    // The middle of each span: the ends of a set are often unlike the rest.
    (0..count)
        .map(|k| ((2 * u128::from(k) + 1) * u128::from(samples) / (2 * u128::from(count))) as u64)
        .collect()
}

/// Reads samples by their indices, in the order of the set. Those that cannot be read are left out.
pub(super) fn samples(set: &ShardSet, indices: &[u64]) -> Vec<Sample> {
    let mut indices: Vec<u64> = indices.iter().copied().filter(|&index| index < set.len()).collect();
    indices.sort_unstable();
    indices.dedup();
    if indices.is_empty() {
        return Vec::new();
    }
    let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
    let subset = set.subset(indices.clone());
    let stream = subset.samples(order, Division::default(), Position::default());
    // In the subset they are numbered anew.
    let named = |sample: Sample| Some(Sample { index: *indices.get(sample.index as usize)?, ..sample });
    stream.take(indices.len()).filter_map(|sample| named(sample.ok()?)).collect()
}

/// Decodes the whole image of a sample.
pub(super) fn image(sample: &Sample) -> Option<Rgb> {
    sample.image.read(|bytes| pipeline::decode(bytes, max_pixels())).ok()?.ok()
}
