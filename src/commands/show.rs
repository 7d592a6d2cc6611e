//! `amdim-stream show`: draws an image and the views that training sees of it side by side.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use pipeline::{DecodeMode, Group, Plan, Preset, Recipe, Rgb, SampleSeed};
use serde_json::json;
use shards::{Division, Order, Position, Sample, ShardSet, Shuffle};

use crate::{
    config::{self, Config, DataConfig},
    data, destination, failure,
    files::Partial,
    hint::WithHint,
    numbers,
    report::pairs::{Drawing, GAP, Rendered, copy_to},
    run::folder::RunFolder,
    servers::ServerArgs,
    stdout, usage,
};

/// The flags of `show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run folder: draw the views that this run saw, from its shards and with its settings
    #[arg(long, value_name = "DIR", conflicts_with_all = ["preset", "seed", "decode"])]
    pub run: Option<PathBuf>,
    /// File of settings: draw the views of its recipe, even if its method cannot use them
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["run", "preset", "seed", "decode"])]
    pub config: Option<PathBuf>,
    /// All shards of the run: the views depend on the sample's place among all samples
    #[arg(long, value_name = "PATTERN", num_args = 1.., required_unless_present_any = ["run", "config"])]
    pub shards: Vec<String>,
    /// Key of the sample: the name of its image in the shard up to the last dot, e.g. `cat/0001`
    #[arg(long, value_name = "KEY")]
    pub sample: String,
    /// Image to write: .png, or .jpg, which alters pixels a little
    #[arg(long, short, value_name = "FILE.png")]
    pub out: PathBuf,
    /// Replace FILE if it exists
    #[arg(long)]
    pub force: bool,
    /// Augmentation and image size: c10, stl10, in128 or in224
    #[arg(long, default_value = "in128")]
    pub preset: Preset,
    /// Seed of the run
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = numbers::ANY.parser::<u64>())]
    pub seed: u64,
    /// Epoch, from 0 on
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = numbers::ANY.parser::<u64>())]
    pub epoch: u64,
    /// How JPEGs are decoded: exact or fast
    #[arg(long, value_name = "MODE", default_value = "exact")]
    pub decode: DecodeMode,
    /// How shards on servers are read
    #[command(flatten)]
    pub servers: ServerArgs,
}

/// Draws the image and its views into a file, and prints what was drawn.
pub fn run(args: &Args) -> Result<()> {
    let extension = destination::file(&args.out, &["png", "jpg", "jpeg"], args.force)?;
    let settings = ViewSettings::find(args)?;
    let set = data::open(&settings.data, &settings.data.shards)?;
    let index = find(&set, &args.sample)?;
    let sample = read(&set, index)?;
    let Drawing { recipe, seed: run_seed, .. } = &settings.drawing;
    let seed = SampleSeed { seed: *run_seed, epoch: args.epoch, index };
    let Rendered { image, views } = settings.drawing.render(&sample, args.epoch)?;
    let mut plan = Plan::default();
    plan.draw(recipe, seed, image.width, image.height)?;
    write(&strip(&image, recipe, &views), &args.out, extension)?;
    stdout::say(&format!(
        "`{}`: sample `{}` of `{}`, {}×{} pixels, and its {} views in epoch {} with seed {}",
        args.out.display(),
        sample.key,
        sample.shard,
        image.width,
        image.height,
        plan.views.len(),
        args.epoch,
        run_seed
    ))?;
    stdout::print(&json!({
        "key": sample.key, "shard": &*sample.shard, "offset": sample.offset, "index": index, "label": sample.label,
        "width": image.width, "height": image.height, "seed": run_seed, "epoch": args.epoch,
        "shared": plan.shared, "views": plan.views, "out": args.out,
    }))
}

/// The shards of a command, and the settings that determine the views of their samples.
struct ViewSettings {
    data: DataConfig,
    drawing: Drawing,
}

impl ViewSettings {
    /// Returns the settings of the run in `--run`, those of the file in `--config`, or those given by flags.
    fn find(args: &Args) -> Result<Self> {
        match (&args.run, &args.config) {
            (Some(run), _) => Self::of_run(run, args),
            (None, Some(file)) => {
                let config = Config::resolve_for_drawing(&config::read(file)?)?;
                Self::of(config, args)
            }
            (None, None) => {
                let drawing = Drawing { recipe: args.preset.recipe(), seed: args.seed, decode: args.decode };
                let mut data = DataConfig { shards: args.shards.clone(), ..DataConfig::default() };
                data.override_servers(&args.servers);
                Ok(Self { data, drawing })
            }
        }
    }

    /// Returns the settings that determine views among all settings, with the shards in `--shards` if there
    /// are any.
    fn of(mut config: Config, args: &Args) -> Result<Self> {
        if !args.shards.is_empty() {
            config.data.shards.clone_from(&args.shards);
        }
        config.data.override_servers(&args.servers);
        if config.data.shards.is_empty() {
            return Err(usage!("the settings name no shards"; "name all shards of the run with --shards"));
        }
        let drawing = Drawing::of(&config);
        Ok(Self { data: config.data, drawing })
    }

    /// Returns the settings of a run, whose shards must not have changed.
    fn of_run(run: &Path, args: &Args) -> Result<Self> {
        let mut config = Config::resolve(&config::read(&run.join("config.toml"))?)?;
        if !args.shards.is_empty() {
            config.data.shards.clone_from(&args.shards);
        }
        config.data.override_servers(&args.servers);
        if let Some(changes) = RunFolder::of(run).changes(&config.data)? {
            return Err(failure!(
                "the shards of the run in `{}` have changed since it began ({changes}), so what it saw is unknown", run.display();
                "restore the shards that it had, or name where they are now with --shards"
            ));
        }
        check_epoch(run, args.epoch)?;
        Self::of(config, args)
    }
}

/// Checks that the run has reached the epoch.
fn check_epoch(run: &Path, epoch: u64) -> Result<()> {
    let Some(begun) = RunFolder::of(run).epochs_begun()? else {
        return Err(usage!(
            "the run in `{}` has made no step, so it has seen no image", run.display();
            "give --shards, --preset and --seed instead of --run to show what a run would see"
        ));
    };
    if epoch < begun {
        return Ok(());
    }
    Err(usage!(
        "the run in `{}` has not reached epoch {epoch}: it has begun {begun}, counted from 0", run.display();
        "give --epoch {} at most, or give --shards, --preset and --seed instead of --run to show what a run would see later", begun - 1
    ))
}

/// Returns the index of the sample with this key.
fn find(set: &ShardSet, key: &str) -> Result<u64> {
    if let Some(index) = set.find(key)? {
        return Ok(index);
    }
    let example = set.locate(0).map_or_else(|_| String::new(), |first| format!(", e.g. `{}`", first.key));
    Err(failure!(
        "none of the {} samples has the key `{key}`", set.len();
        "give the name of an image inside the shards up to its last dot{example}; `tar tf SHARD` lists them"
    ))
}

fn read(set: &ShardSet, index: u64) -> Result<Sample> {
    let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
    let mut samples = set.samples(order, Division::default(), Position { epoch: 0, offset: index });
    Ok(samples.next().context("a sample that was found can be read")??)
}

/// Returns the image with its views to the right of it, each group one below the other.
fn strip(image: &Rgb, recipe: &Recipe, views: &[u8]) -> Rgb {
    let height = |group: &Group| group.views.len() as u32 * (group.side + GAP) - GAP;
    let width: u32 = recipe.groups.iter().map(|group| GAP + group.side).sum();
    let height = recipe.groups.iter().map(height).fold(image.height, u32::max);
    let mut strip = Rgb::black(image.width + width, height);
    strip.pixels.fill(255);
    copy_to(&mut strip, (0, 0), &image.pixels, image.width);
    let (mut views, mut left) = (views, image.width + GAP);
    for group in &recipe.groups {
        for number in 0..group.views.len() as u32 {
            let (view, rest) = views.split_at(group.view_bytes());
            copy_to(&mut strip, (left, number * (group.side + GAP)), view, group.side);
            views = rest;
        }
        left += GAP + group.side;
    }
    strip
}

fn write(image: &Rgb, path: &Path, extension: &str) -> Result<()> {
    let write = || -> Result<()> {
        let partial = Partial::beside(path)?;
        encode(image, extension, &partial)?;
        Ok(partial.finish()?)
    };
    write().or_cannot_write(path).with_code_of_place()
}

fn encode(image: &Rgb, extension: &str, partial: &Partial) -> Result<()> {
    const QUALITY: u8 = 95;
    if extension != "png" {
        let jpeg = pipeline::encode_jpeg(image, QUALITY)?;
        return Ok(partial.create()?.write_all(&jpeg)?);
    }
    let Rgb { width, height, pixels } = image;
    let (colours, format) = (image::ColorType::Rgb8, image::ImageFormat::Png);
    Ok(image::save_buffer_with_format(partial.path(), pixels, *width, *height, colours, format)?)
}
