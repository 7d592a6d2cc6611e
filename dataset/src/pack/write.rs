//! Writes the samples of a source into shards, several at a time.

use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use rayon::{ThreadPoolBuilder, prelude::*};
use shards::ShardWriter;

use super::{
    plan::{Cut, Plan},
    source::{Image, Source},
    split::{Subset, Validation},
};
use crate::{
    chain::one_line,
    classes::ClassNames,
    error::{ImageError, OutputError, Result},
    output::{Output, Summary},
    progress::{Progress, Stage},
};

/// The prefix of validation shards: `val-000.tar` and so on.
const VALIDATION_PREFIX: &str = "val";

/// The most pixels of an image that is resized: 600 MB in memory.
const MAX_PIXELS: u64 = 200_000_000;

/// The most left out samples that are named one by one.
const NAMED: usize = 100;

/// The options for packing a source.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for the shards.
    pub out: PathBuf,
    /// The beginning of the shards' names.
    pub prefix: String,
    /// The limits of a shard.
    pub cut: Cut,
    /// The size and quality of images that are made smaller; `None` resizes nothing.
    pub resize: Option<Resize>,
    /// The seed of shuffling; `None` keeps the order of the source.
    pub shuffle: Option<u64>,
    /// The choice of samples to hold out, in shards named `val-000.tar` and so on.
    pub validation: Option<Validation>,
    /// The number of shards that are written concurrently; `None` for one per core.
    pub workers: Option<usize>,
    /// Whether shards of this prefix may be replaced.
    pub force: bool,
}

/// The size and quality of images that are made smaller and encoded as JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    /// The length in pixels that the short side gets; images with a short side that is not longer stay as
    /// they are.
    pub short_side: u32,
    /// The quality of the JPEG, from 1 to 100.
    pub quality: u8,
}

/// Writes the shards and `classes.txt`. The bytes do not depend on the number of workers.
///
/// A sample that cannot be read or resized is left out, named in the log, and counted.
///
/// # Errors
/// The folder or its class names must not be replaced, nothing can be held out, no image can be read, or the
/// system refuses.
pub fn write(source: &dyn Source, options: &Options, progress: &dyn Progress) -> Result<Summary> {
    ClassNames::check(source.classes())?;
    let Some(validation) = options.validation else {
        let part = Part::prepare(Subset::all(source), &options.prefix, options)?;
        source.log();
        part.output.write_classes(source.classes(), options.force)?;
        return part.write(options, progress);
    };
    if options.prefix == VALIDATION_PREFIX {
        return Err(OutputError::SamePrefix { prefix: VALIDATION_PREFIX.to_owned() }.into());
    }
    let [train, held_out] = Subset::split(source, validation)?;
    let train = Part::prepare(train, &options.prefix, options)?;
    let held_out = Part::prepare(held_out, VALIDATION_PREFIX, options)?;
    source.log();
    let output = train.output.together_with(VALIDATION_PREFIX);
    output.write_classes(source.classes(), options.force)?;
    let summary = Part { output, ..train }.write(options, progress)?;
    Ok(Summary { val: Some(Box::new(held_out.write(options, progress)?)), ..summary })
}

/// The samples of one set of shards.
struct Part<'a> {
    samples: Subset<'a>,
    plan: Plan,
    output: Output,
}

impl<'a> Part<'a> {
    /// Checks that the shards can be written.
    fn prepare(samples: Subset<'a>, prefix: &str, options: &Options) -> Result<Self> {
        let plan = Plan::new(&samples, options.cut, options.shuffle);
        let output = Output::create(&options.out, prefix, plan.shards(), options.force)?;
        Ok(Self { samples, plan, output })
    }

    fn write(self, options: &Options, progress: &dyn Progress) -> Result<Summary> {
        progress.begin(Stage::Packing, self.samples.count() as u64);
        let Self { samples, plan, output } = self;
        let job = Job {
            source: &samples,
            resize: options.resize,
            progress,
            bad: Mutex::default(),
            converted: AtomicU64::new(0),
        };
        job.write_shards(&plan, &output, options.workers)?;
        let Counts { bad, converted } = job.report();
        let packed = samples.count() as u64 - bad;
        if packed == 0 {
            output.discard()?;
            return Err(OutputError::NothingPacked { bad }.into());
        }
        let summary = output.finish(packed, samples.classes().len())?;
        Ok(Summary { bad, converted, ignored: samples.ignored(), ..summary })
    }
}

/// The numbers of images that were not packed as they are.
struct Counts {
    /// The images that were left out.
    bad: u64,
    /// The images that were converted to PNG.
    converted: u64,
}

/// The data that the threads share.
struct Job<'a> {
    source: &'a dyn Source,
    resize: Option<Resize>,
    progress: &'a dyn Progress,
    /// The number of each sample that is left out, with the reason.
    bad: Mutex<Vec<(u32, ImageError)>>,
    converted: AtomicU64,
}

impl Job<'_> {
    /// Writes all shards. Each thread takes the next one, so that shards are written in the order of their
    /// numbers.
    fn write_shards(&self, plan: &Plan, output: &Output, workers: Option<usize>) -> Result<()> {
        let pool = ThreadPoolBuilder::new().num_threads(workers.unwrap_or(0)).build()?;
        let next = AtomicUsize::new(0);
        let worker = |_: usize| -> Result<()> {
            loop {
                let shard = next.fetch_add(1, Ordering::Relaxed);
                if shard >= plan.shards() {
                    return Ok(());
                }
                self.write_shard(plan.samples(shard), output.shard(shard))?;
            }
        };
        pool.install(|| (0..pool.current_num_threads()).into_par_iter().try_for_each(worker))
    }

    fn write_shard(&self, samples: &[u32], path: PathBuf) -> Result<()> {
        let mut writer = ShardWriter::create(path)?;
        for &number in samples {
            match self.read(number as usize) {
                Ok(image) => append(&mut writer, &self.source.key(number as usize), &image)?,
                Err(error) => self.bad.lock().expect("no thread panics here").push((number, error)),
            }
            self.progress.advance(1, 0);
        }
        Ok(writer.finish()?)
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

    /// Ends the stage and logs the samples left out, in the order of the source.
    fn report(self) -> Counts {
        self.progress.end();
        let converted = self.converted.into_inner();
        if converted > 0 {
            tracing::info!(
                "converted to PNG, without loss: {converted} images (GIF, BMP, TIFF; the first frame or page)"
            );
        }
        let mut bad = self.bad.into_inner().expect("no thread panicked");
        bad.sort_by_key(|(number, _)| *number);
        for (_, error) in bad.iter().take(NAMED) {
            tracing::warn!("left out: {}", one_line(error));
        }
        match bad.len() {
            0 => {}
            few @ ..=NAMED => tracing::warn!("images left out: {few}"),
            many => tracing::warn!("images left out: {many}, of which the first {NAMED} are named above"),
        }
        Counts { bad: bad.len() as u64, converted }
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
