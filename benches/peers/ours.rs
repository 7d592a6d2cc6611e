//! This program's loader, measured like its peers in `run.py`: shards to batches by a recipe.
//!
//! `peers-ours SHARDS… --recipe in128|simclr224 --workers N --pairs N --warmup N --decode exact|fast`, or
//! `--bound` for libjpeg-turbo alone on one thread. Prints one JSON object. `--print` prints the recipe instead.
#![expect(clippy::print_stdout, reason = "the result goes to stdout")]

use std::{env, error, time::Instant};

use pipeline::{DecodeMode, Decoder, Loader, LoaderConfig, Preset, Recipe, Rgb};
use serde_json::json;
use shards::{Division, IndexConfig, LocalSource, Order, Position, Samples, ShardSet};

use common::process_cpu_s;

#[path = "../common/mod.rs"]
mod common;
#[path = "../recipes.rs"]
mod recipes;

const BATCH: usize = 64;

type Result<T, E = Box<dyn error::Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let options = Options::parse(env::args().skip(1))?;
    if options.print {
        println!("{}", json!(options.recipe));
        return Ok(());
    }
    let set = ShardSet::open(LocalSource::new(&options.shards)?, &IndexConfig::default())?;
    let samples = set.samples(Order::default(), Division::default(), Position::default());
    if options.bound { decode(samples, set.len(), &options) } else { load(samples, &options) }
}

struct Options {
    shards: Vec<String>,
    recipe: Recipe,
    workers: usize,
    pairs: usize,
    warmup: usize,
    decode: DecodeMode,
    bound: bool,
    print: bool,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            shards: Vec::new(),
            recipe: Preset::In128.recipe(),
            workers: 1,
            pairs: 2048,
            warmup: 512,
            decode: DecodeMode::default(),
            bound: false,
            print: false,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--recipe" => options.recipe = recipe(&words.next().ok_or("--recipe needs a name")?)?,
                "--workers" => options.workers = number(words.next())?,
                "--pairs" => options.pairs = number(words.next())?,
                "--warmup" => options.warmup = number(words.next())?,
                "--decode" => options.decode = words.next().ok_or("--decode needs a mode")?.parse()?,
                "--bound" => options.bound = true,
                "--print" => options.print = true,
                _ if word.starts_with("--") => return Err(format!("unknown option `{word}`").into()),
                _ => options.shards.push(word),
            }
        }
        Ok(options)
    }
}

/// Returns the recipe of this name.
fn recipe(name: &str) -> Result<Recipe> {
    match name {
        "in128" => Ok(Preset::In128.recipe()),
        "simclr224" => Ok(recipes::simclr()),
        _ => Err(format!("unknown recipe `{name}`").into()),
    }
}

fn number(word: Option<String>) -> Result<usize> {
    Ok(word.ok_or("a number is missing after an option")?.parse()?)
}

/// Times the batches that follow the warm-up.
fn load(samples: Samples, options: &Options) -> Result<()> {
    let recipe = &options.recipe;
    let config = LoaderConfig {
        workers: options.workers,
        batch_size: BATCH,
        decode: options.decode,
        ..LoaderConfig::default()
    };
    let slabs = vec![vec![0; config.bytes(recipe)]; config.slabs()];
    let mut loader = Loader::spawn(samples, recipe.clone(), slabs, &config)?;
    let mut batches = |count| loader.by_ref().take(count).try_for_each(|batch| batch.map(drop));
    batches(options.warmup.div_ceil(BATCH))?;
    let count = options.pairs.div_ceil(BATCH);
    measure(count * BATCH, || Ok(batches(count)?))
}

/// Times libjpeg-turbo on images in memory.
fn decode(samples: Samples, images: u64, options: &Options) -> Result<()> {
    let photos: Vec<Vec<u8>> = samples
        .take(images as usize)
        .map(|sample| Ok(sample?.image.read(<[u8]>::to_vec)?))
        .collect::<Result<_>>()?;
    let mut decoder = Decoder::new(u64::MAX);
    let mut image = Rgb::default();
    let mut decode = |count| -> Result<()> {
        photos.iter().cycle().take(count).try_for_each(|photo| Ok(decoder.decode(photo, &mut image)?))
    };
    decode(options.warmup)?;
    measure(options.pairs, || decode(options.pairs))
}

fn measure(pairs: usize, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let (wall, cpu_s) = (Instant::now(), process_cpu_s());
    work()?;
    let (wall_s, cpu_s) = (wall.elapsed().as_secs_f64(), process_cpu_s() - cpu_s);
    println!("{}", json!({ "pairs": pairs, "wall_s": wall_s, "cpu_s": cpu_s }));
    Ok(())
}
