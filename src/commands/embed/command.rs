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
use crate::{checkpoint, data, device, network::Network, stdout, terminal::Progress, usage};
use torchkit::{Choice, Precision};

/// Embeds the shards that have no file yet, in order. Memory does not grow with their number.
pub fn run(args: &Args) -> Result<()> {
    folder::check(&args.out)?;
    let loaded = checkpoint::find(&args.checkpoint)?.without_moments();
    let mut config = loaded.state.config.clone();
    config.run.workers = args.workers;
    let device = device::choose(args.device)?;
    let set = data::open(&args.shards)?;
    let names = class_names(&set)?;
    Precision::apply_to_evaluation(device)?;
    device::settle_fused(Choice::Auto, device);
    let network = Network::load(&loaded, device)?;
    let args = &Args { layer: layer(&args.layer, &network)?.to_owned(), ..args.clone() };
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create `{}`", args.out.display()))?;
    let precision = config.train.precision.of_evaluation(device);
    folder::claim(args, &loaded.checksum, set.digest(), precision)?;
    let progress = Progress::new("sample", 0, set.len());
    let embedding = Embedding {
        args,
        set: &set,
        config: &config,
        device,
        network: &network,
        names: &names,
        progress: &progress,
    };
    let totals = embedding.embed_all()?;
    drop(progress);
    print(args, &totals, set.shards().len(), &loaded.checksum)
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
