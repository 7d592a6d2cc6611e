//! `amdim-stream pack`: packs images into shards and `classes.txt`.

use std::path::PathBuf;

use anyhow::Result;
use dataset::{
    ClassNames, Summary,
    pack::{self, Cut, Options, Packing, Resize, Source, Validation},
};

use super::{progress::Shown, shared, written};
use crate::{data, hint, notice, numbers, world::World};

/// The flags of `pack`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to pack: a folder of images, or the binary files of CIFAR-10, CIFAR-100 or STL-10
    ///
    /// An image folder has a folder for each class (`cat/1.jpg`, `dog/a/2.png`), whose sorted order gives the
    /// labels 0, 1, 2 …; images that lie in the folder itself, without class folders, are packed without
    /// labels. JPEGs, PNGs and WebPs are packed byte by byte, whatever their extension; GIFs, BMPs and TIFFs
    /// become PNGs. Messages name the files that are left out. For a binary dataset, give the folder that its
    /// archive unpacks to, or one of its `.bin` files.
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Folder for the shards and `classes.txt`
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Number the classes by this list, one name per line, such as the `classes.txt` of another part of the
    /// dataset; classes that SOURCE lacks keep their numbers [default: the sorted order of SOURCE's own
    /// classes]
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Format of SOURCE; `auto` detects it from the names of the files
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
    /// Part of the dataset: `train`, `test` or, of STL-10, `unlabeled` [default: train]; of an image folder,
    /// a folder in it, e.g. `val` [default: all of it]
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Pack all images in SOURCE and its folders without labels
    #[arg(long, conflicts_with = "classes")]
    no_labels: bool,
    /// Hold out this share of each class's images, drawn by `--seed`, in shards called `val-000.tar` and so
    /// on: at least one image of a class that has two, and never all
    #[arg(long, value_name = "X", value_parser = numbers::PART.parser())]
    val_fraction: Option<f64>,
    /// Name the shards `PREFIX-000.tar` and so on [default: the split's name, or `train`]
    #[arg(long)]
    prefix: Option<String>,
    /// Samples in a shard; the last one may have fewer
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = numbers::COUNT.parser::<u64>())]
    samples_per_shard: u64,
    /// Largest size of a shard in MiB of images, counted before `--resize`; `--samples-per-shard` applies as
    /// well
    #[arg(long, value_name = "MIB", value_parser = numbers::MEBIBYTES.parser::<u64>())]
    shard_size: Option<u64>,
    /// Shrink images to this short side, as JPEGs; images that are not larger stay as they are, byte by byte
    #[arg(long, value_name = "PIXELS", value_parser = numbers::Whole::new(1, 65_535).parser::<u32>())]
    resize: Option<u32>,
    /// Quality of the JPEGs that `--resize` makes, from 1 to 100
    #[arg(long, value_name = "Q", default_value_t = 90, value_parser = numbers::QUALITY.parser::<u8>())]
    quality: u8,
    /// Seed of the order of the samples and of the choice of `--val-fraction`
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = numbers::ANY.parser::<u64>())]
    seed: u64,
    /// Keep the order of the source: a shard then holds neighbours, often of one class
    #[arg(long)]
    no_shuffle: bool,
    /// Shards that are written at the same time [default: one per core]
    #[arg(long, value_name = "N", value_parser = numbers::THREADS.parser::<usize>())]
    workers: Option<usize>,
    /// Replace shards of this prefix
    #[arg(long)]
    force: bool,
}

/// The format of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Detected from the names of the files
    Auto,
    /// Folders of images, one for each class
    Folder,
    /// `data_batch_1.bin` … and `test_batch.bin`
    Cifar10,
    /// `train.bin` and `test.bin`, with their fine labels
    Cifar100,
    /// `train_X.bin`, `test_X.bin`, `unlabeled_X.bin`, and labels in `train_y.bin`, `test_y.bin`
    Stl10,
}

impl From<Format> for pack::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Auto => Self::Auto,
            Format::Folder => Self::Folder,
            Format::Cifar10 => Self::Cifar10,
            Format::Cifar100 => Self::Cifar100,
            Format::Stl10 => Self::Stl10,
        }
    }
}

impl Args {
    fn options(&self) -> Options {
        let prefix = self.prefix.as_deref().or(self.split.as_deref()).unwrap_or("train");
        Options {
            out: self.out.clone(),
            prefix: prefix.to_owned(),
            cut: Cut { samples: self.samples_per_shard, bytes: self.shard_size.map(|size| size << 20) },
            resize: self.resize.map(|short_side| Resize { short_side, quality: self.quality }),
            shuffle: (!self.no_shuffle).then_some(self.seed),
            validation: self.val_fraction.map(|fraction| Validation { fraction, seed: self.seed }),
            workers: self.workers,
            force: self.force,
        }
    }
}

/// Packs the source that `args` name, and prints what was written. Several processes divide the shards among themselves.
///
/// # Errors
/// The source cannot be packed as it is, or the shards cannot be written.
pub fn run(args: &Args, world: World) -> Result<()> {
    let source = world.all(open(args).map_err(Into::into))?;
    let workers = args.workers.or_else(|| world.has_others().then(data::cores));
    let options = Options { workers, ..args.options() };
    let mut packing = world.all(Packing::plan(&*source, &options).map_err(Into::into))?;
    if world.has_others() {
        let images = ("the images", format!("{} images ({:016x})", source.count(), packing.digest()));
        world.agree(&[images], "give all machines the same images, and all processes the same flags")?;
    }
    world.on_lead(|| Ok(packing.prepare()?))?;
    shared::check(&options.out, world)?;
    let mut summaries = Vec::new();
    for part in packing.parts() {
        let own = world.deal(&part.sizes());
        let written = part.write(&own, &Shown::of(world))?;
        let written = world.every(&written)?;
        summaries.extend(world.on_lead(|| Ok(part.finish(written)?))?);
    }
    world.on_lead(|| print(args, &*source, &Packing::summary(summaries))).map(drop)
}

/// Opens the source.
fn open(args: &Args) -> Result<Box<dyn Source>, dataset::Error> {
    let source = pack::open(&args.source, args.format.into(), args.split.as_deref(), !args.no_labels)?;
    match &args.classes {
        Some(list) => pack::number_by(source, list),
        None => Ok(source),
    }
}

/// Prints what was written, and how more of the source can be packed.
fn print(args: &Args, source: &dyn Source, summary: &Summary) -> Result<()> {
    if let Some(hint) = source.hint() {
        let left_out =
            notice!("{} files and folders are left out", summary.ignored; "{}", hint::dataset_words(&hint));
        tracing::warn!("{left_out}");
    }
    if summary.classes > 0 && args.classes.is_none() {
        let list = args.out.join(ClassNames::FILE);
        tracing::info!(
            "labels are the line numbers of `{0}`, from 0 on; pack other parts of the dataset with --classes '{0}', so that their labels \
             mean the same",
            list.display()
        );
    }
    written::print(summary)
}
