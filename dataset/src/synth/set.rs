//! A synthetic set: its options and its shards.

use std::path::PathBuf;

use rayon::prelude::*;
use shards::{ShardWriter, write_index_beside};

use super::{
    scene::{CLASSES, Scene},
    size::Size,
};
use crate::{
    error::{OutputError, Result},
    output::{Output, Summary},
    progress::{Progress, Stage},
    random::Random,
};

/// The number of images that are drawn before they are written: bounds the memory.
const CHUNK: usize = 256;

/// The most images of a set: far more than useful, and far below the overflow of their numbers.
pub const MOST: usize = 1_000_000_000;

/// The default quality of the JPEGs. At 500x375 pixels the images are then as large as those of ImageNet: 110
/// KB.
pub const QUALITY: u8 = 96;

/// The options of a synthetic set.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for the shards.
    pub out: PathBuf,
    /// The size of every image.
    pub size: Size,
    /// The number of images.
    pub count: usize,
    /// The number of shards.
    pub shards: usize,
    /// The seed; together with the prefix it determines every byte.
    pub seed: u64,
    /// The beginning of the shards' names.
    pub prefix: String,
    /// The quality of the JPEGs, from 1 to 100.
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

/// Draws a set on all threads of the current rayon pool, and writes its shards and `classes.txt`.
///
/// # Errors
/// The size or a number is out of bounds, the folder or its class names must not be replaced, or the system
/// refuses.
pub fn write(options: &Options, progress: &dyn Progress) -> Result<Summary> {
    options.size.check()?;
    let Options { count, shards, .. } = options;
    if !(1..=MOST).contains(count) || !(1..=*count).contains(shards) {
        return Err(OutputError::Count { count: *count, shards: *shards, most: MOST }.into());
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
    let path = output.shard(number);
    let mut writer = ShardWriter::create(&path)?;
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
    writer.finish()?;
    Ok(write_index_beside(&path)?)
}

/// Draws one sample; returns its JPEG and its class.
fn draw(options: &Options, sample: usize) -> Result<(Vec<u8>, usize)> {
    let set = xxhash_rust::xxh3::xxh3_64_with_seed(options.prefix.as_bytes(), options.seed);
    let class = class_of(set, sample);
    let mut random = Random::new(&[set, 1, sample as u64]);
    let scene = Scene::draw(class, (options.size.width, options.size.height), &mut random);
    let jpeg = pipeline::encode_jpeg(&scene.render(&mut random), options.quality)?;
    Ok((jpeg, class))
}

/// Returns the class of a sample. Each run of ten samples has every class once, in a random order.
fn class_of(set: u64, sample: usize) -> usize {
    let mut classes: [usize; CLASSES.len()] = std::array::from_fn(|class| class);
    Random::new(&[set, 0, (sample / CLASSES.len()) as u64]).shuffle(&mut classes);
    classes[sample % CLASSES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::{Hint, OutputHint};

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
    fn too_many_images_are_refused_with_the_bound() {
        let options = Options { count: usize::MAX, shards: 1, ..Options::default() };
        let hint = write(&options, &()).unwrap_err().hint();
        assert_eq!(hint, Some(Hint::Output(OutputHint::Count { most: 1_000_000_000 })));
    }
}
