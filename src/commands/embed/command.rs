//! The command `embed`.

use std::fs;

use anyhow::{Context, Result};
use dataset::ClassNames;
use serde_json::json;
use shards::ShardSet;

use super::{
    args::Args,
    folder,
    shard::{Embedding, Totals},
};
use crate::{
    commands::shared, config::DataConfig, data, device, eval, network::Network, stdout, usage, world::World,
};
use torchkit::{Choice, Precision};

/// Embeds the shards that have no file yet, in order. Memory does not grow with their number. Several processes divide the
/// shards among themselves.
///
/// # Errors
///
/// If the checkpoint or the shards cannot be read, the folder has features of another origin, or a file cannot be written.
pub fn run(args: &Args, world: World) -> Result<()> {
    world.on_lead(|| folder::check(&args.out))?;
    let loaded = eval::checkpoint(&args.checkpoint, world)?;
    let mut config = loaded.state.config.clone();
    config.run.workers = args.workers;
    config.data.override_servers(&args.servers);
    let device = world.all(device::choose_for(args.device, world))?;
    eval::share_threads(device, world);
    let set = open(&config.data, &args.shards, world)?;
    let names = class_names(&set)?;
    Precision::apply_to_evaluation(device)?;
    device::settle_fused(Choice::Auto, device);
    let network = world.all(Network::load(&loaded, device))?;
    let args = &Args { layer: world.all(layer(&args.layer, &network))?.to_owned(), ..args.clone() };
    let precision = config.train.precision.of_evaluation(device);
    world.on_lead(|| {
        fs::create_dir_all(&args.out).with_context(|| format!("cannot create `{}`", args.out.display()))?;
        folder::claim(args, &loaded.checksum, set.digest(), precision)
    })?;
    shared::check(&args.out, world)?;
    let embedding = Embedding { args, set: &set, config: &config, device, network: &network, names: &names };
    let totals = embedding.embed_all(world)?;
    world.on_lead(|| print(args, &totals, set.shards().len(), &loaded.checksum)).map(drop)
}

/// Opens the shards on all processes.
fn open(config: &DataConfig, patterns: &[String], world: World) -> Result<ShardSet> {
    let set = world.all(data::open(config, patterns))?;
    let samples = ("the shards", format!("{} samples ({:016x})", set.len(), set.digest()));
    world.agree(&[samples], "give all machines the same shards, in the same order of names")?;
    Ok(set)
}

/// Returns the classes' names by label; none if they are not known.
fn class_names(set: &ShardSet) -> Result<Vec<String>> {
    let names = ClassNames::of(set)?.zip(set.classes());
    Ok(names.and_then(|(names, classes)| names.of_classes(classes)).unwrap_or_default())
}

/// Returns the encoder's name of a layer.
fn layer(asked: &str, network: &Network) -> Result<&'static str> {
    let layers = network.encoder().layers();
    if asked == "features" {
        return Ok(layers[0]);
    }
    let found = layers.iter().find(|layer| **layer == asked).copied();
    found.ok_or_else(
        || usage!("there is no layer `{asked}`"; "name features, or one of {}", layers.join(", ")),
    )
}

/// Prints what was written.
fn print(args: &Args, totals: &Totals, shards: usize, checksum: &str) -> Result<()> {
    let Totals { samples, done_before, width, left_out, first_left_out } = totals;
    if *left_out > 0 {
        let lists = args.out.join("*.left-out.jsonl");
        tracing::warn!("bad samples left out: {left_out}, listed in `{}`", lists.display());
    }
    let out = args.out.display();
    stdout::say(&format!(
        "`{out}`: {samples} samples, {width} numbers each; shards: {shards}, {done_before} of them done before"
    ))?;
    stdout::print(&json!({
        "out": args.out, "shards": shards, "done_before": done_before, "samples": samples, "left_out": left_out,
        "first_left_out": first_left_out, "width": width, "layer": args.layer, "model": checksum,
    }))
}
