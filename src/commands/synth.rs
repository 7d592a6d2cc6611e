//! `amdim-stream synth`: draws a labelled dataset.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::ArgGroup;
use dataset::synth::{self, Options, Size};

use super::{progress::Shown, written};
use crate::{
    numbers::{self, Whole},
    world::World,
};

/// The pixels of a side.
const SIDE: Whole = Whole::new(*synth::SIDES.start() as u64, *synth::SIDES.end() as u64);

/// The number of images that are drawn.
const COUNT: Whole = Whole::new(1, synth::MOST as u64);

/// The flags of `synth`.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("dimensions").required(true).args(["side", "size"])))]
pub struct Args {
    /// Folder for the shards and `classes.txt`
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Width and height of the images, from 8 to 500 pixels
    #[arg(long, value_name = "N", value_parser = SIDE.parser::<u32>())]
    side: Option<u32>,
    /// Size of the images, e.g. `500x375`
    #[arg(long, value_name = "WxH")]
    size: Option<Size>,
    /// Number of images
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = COUNT.parser::<usize>())]
    count: usize,
    /// Number of shards they are spread over
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = COUNT.parser::<usize>())]
    shards: usize,
    /// Seed: the same seed and prefix give the same bytes
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = numbers::ANY.parser::<u64>())]
    seed: u64,
    /// Name the shards `PREFIX-000.tar` and so on; another prefix gives other images
    #[arg(long, default_value = "train")]
    prefix: String,
    /// Quality of the JPEGs, from 1 to 100
    #[arg(long, value_name = "Q", default_value_t = synth::QUALITY, value_parser = numbers::QUALITY.parser::<u8>())]
    quality: u8,
    /// Replace shards of this prefix
    #[arg(long)]
    force: bool,
}

/// Draws the set that `args` describe, and prints what was written.
///
/// # Errors
/// There are more shards than images, or the shards cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let square = |side| Size { width: side, height: side };
    let size = args
        .size
        .or(args.side.map(square))
        .ok_or_else(|| anyhow!("neither `--side` nor `--size` is given"))?;
    let options = Options {
        out: args.out.clone(),
        size,
        count: args.count,
        shards: args.shards,
        seed: args.seed,
        prefix: args.prefix.clone(),
        quality: args.quality,
        force: args.force,
    };
    written::print(&synth::write(&options, &Shown::of(World::ALONE))?)
}
