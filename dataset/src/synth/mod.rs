//! A labelled set of drawn images, for the demo, tests and benches.
//!
//! Each class has a shape and a texture of its own. Colour, position, size, turn, background, clutter and noise say
//! nothing about it. Every image is a function of (seed, prefix, its number): threads and shards play no part.

mod placement;
mod scene;
mod shape;
mod texture;

use std::{fmt, ops::RangeInclusive, path::PathBuf, str::FromStr};

use anyhow::{Result, anyhow, ensure};
use rayon::prelude::*;
use shards::ShardWriter;

use crate::{
    misuse::usage,
    output::{Output, Summary},
    progress::{Progress, Stage},
    random::Random,
};
use scene::{CLASSES, Scene};

/// Images drawn side by side before they are written: bounds the memory.
const CHUNK: usize = 256;

/// Pixels that a side may have.
pub const SIDES: RangeInclusive<u32> = 8..=500;

/// The most images that are drawn: far more than anyone draws, and far from where their numbers overflow.
pub const MOST: usize = 1_000_000_000;

/// At 500x375 pixels, images of this quality are as large as those of ImageNet: 110 KB.
pub const QUALITY: u8 = 96;

/// Width and height in pixels, each from 8 to 500, written `WxH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    fn check(self) -> Result<Self> {
        ensure!(
            SIDES.contains(&self.width) && SIDES.contains(&self.height),
            "{self} is out of bounds: both sides are from 8 to 500 pixels"
        );
        Ok(self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (width, height) = text.split_once(['x', 'X', '×'])?;
            Some(Self { width: width.trim().parse().ok()?, height: height.trim().parse().ok()? })
        };
        parse().ok_or_else(|| anyhow!("expected a width and a height such as 500x375"))?.check()
    }
}

/// A set to be drawn.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder for the shards.
    pub out: PathBuf,
    /// Of every image.
    pub size: Size,
    /// Number of images.
    pub count: usize,
    /// Number of shards.
    pub shards: usize,
    /// Together with the prefix, determines every byte.
    pub seed: u64,
    /// Begins the shards' names.
    pub prefix: String,
    /// Of the JPEGs, from 1 to 100.
    pub quality: u8,
    /// Whether shards of this prefix may be replaced.
    pub force: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            out: PathBuf::from("."),
            size: Size { width: 32, height: 32 },
            count: 5000,
            shards: 4,
            seed: 0,
            prefix: "train".to_owned(),
            quality: QUALITY,
            force: false,
        }
    }
}

/// Draws a set on all threads of the current rayon pool and writes its shards and `classes.txt`.
pub fn write(options: &Options, progress: &dyn Progress) -> Result<Summary> {
    options.size.check()?;
    let Options { count, shards, .. } = options;
    if !(1..=MOST).contains(count) || !(1..=*count).contains(shards) {
        return Err(usage!(
            "{count} images do not fill {shards} shards\n  hint: `--count` is a whole number from 1 to {MOST}, `--shards` at most as much"
        ));
    }
    let output = Output::create(&options.out, &options.prefix, options.shards, options.force)?;
    let classes: Vec<_> = CLASSES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    output.write_classes(&classes, options.force)?;
    progress.begin(Stage::Drawing, options.count as u64);
    for number in 0..options.shards {
        write_shard(options, &output, number, progress)?;
    }
    progress.end();
    output.finish(options.count as u64, classes.len())
}

fn write_shard(options: &Options, output: &Output, number: usize, progress: &dyn Progress) -> Result<()> {
    let boundary = |shard: usize| (shard as u128 * options.count as u128 / options.shards as u128) as usize;
    let samples = boundary(number)..boundary(number + 1);
    let digits = (options.count - 1).to_string().len().max(6);
    let mut writer = ShardWriter::create(output.shard(number))?;
    for first in samples.clone().step_by(CHUNK) {
        let chunk = first..samples.end.min(first + CHUNK);
        let drawn: Vec<_> =
            chunk.clone().into_par_iter().map(|sample| draw(options, sample)).collect::<Result<_>>()?;
        for (sample, (jpeg, class)) in chunk.zip(&drawn) {
            let (key, class) = (format!("{sample:0digits$}"), class.to_string());
            writer.append(&key, &[("jpg", jpeg), ("cls", class.as_bytes())])?;
        }
        progress.advance(drawn.len() as u64, 0);
    }
    Ok(writer.finish()?)
}

/// The JPEG of one sample, and its class.
fn draw(options: &Options, sample: usize) -> Result<(Vec<u8>, usize)> {
    let set = xxhash_rust::xxh3::xxh3_64_with_seed(options.prefix.as_bytes(), options.seed);
    let class = class_of(set, sample);
    let mut random = Random::new(&[set, 1, sample as u64]);
    let scene = Scene::draw(class, (options.size.width, options.size.height), &mut random);
    let jpeg = pipeline::encode_jpeg(&scene.render(&mut random), options.quality)?;
    Ok((jpeg, class))
}

/// Each run of ten samples has every class once, in an order of its own.
fn class_of(set: u64, sample: usize) -> usize {
    let mut classes: [usize; CLASSES.len()] = std::array::from_fn(|class| class);
    Random::new(&[set, 0, (sample / CLASSES.len()) as u64]).shuffle(&mut classes);
    classes[sample % CLASSES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_balanced_and_mixed() {
        let classes: Vec<_> = (0..1000).map(|sample| class_of(7, sample)).collect();
        for class in 0..CLASSES.len() {
            assert_eq!(classes.iter().filter(|&&c| c == class).count(), 100);
        }
        let repeats = classes.chunks(10).filter(|run| *run == &classes[..10]).count();
        assert_eq!(repeats, 1);
    }

    #[test]
    fn more_images_than_can_be_counted_are_refused_with_the_bound() {
        let options = Options { count: usize::MAX, shards: 1, ..Options::default() };
        let error = write(&options, &()).unwrap_err().to_string();
        assert!(error.contains("`--count` is a whole number from 1 to 1000000000"), "{error}");
    }

    #[test]
    fn a_size_is_read_as_width_times_height() {
        assert_eq!("500x375".parse::<Size>().unwrap(), Size { width: 500, height: 375 });
        for wrong in ["500", "x", "7x100", "100x501", "-3x40"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }
}
