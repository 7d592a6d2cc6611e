//! The features of every sample, shard by shard.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use dataset::ClassNames;
use pipeline::BadSample;
use serde_json::{Value, json};
use shards::ShardSet;
use tch::{Device, Kind};

use super::{
    left_out, npy, parquet,
    rows::{Rows, Sink, written},
};
use crate::{
    checkpoint,
    config::Config,
    data,
    destination::{self, Contents},
    device,
    eval::images,
    files::Partial,
    network::Network,
    stdout,
    terminal::Progress,
    usage,
};
use torchkit::{DeviceChoice, Precision};

/// What `embed` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run folder, or one of its checkpoints/step-… folders
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// Shards to read; samples need no label
    #[arg(long, value_name = "PATTERN", num_args = 1.., required = true)]
    pub shards: Vec<String>,
    /// Folder to write to: a file for each shard. Called again, it goes on with the shards that have none
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// parquet (key, label, the class's name where it is known, embedding) or npy (the embeddings, with the others as a text
    /// beside them)
    #[arg(long, value_enum, default_value_t = Format::Parquet)]
    pub format: Format,
    /// Embed all shards anew, in the place of the files of an earlier call
    #[arg(long)]
    pub force: bool,
    /// r1 (the features), or the mean over the locations of r5 or r7
    #[arg(long, default_value = "r1")]
    pub layer: String,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Decoding threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = crate::numbers::THREADS.parser::<usize>())]
    pub workers: Option<usize>,
}

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Apache Parquet, compressed by zstd.
    Parquet,
    /// `NumPy`'s format, f32, and a text of keys and labels.
    Npy,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Npy => "npy",
        }
    }
}

/// What came of the shards.
#[derive(Debug, Default)]
struct Done {
    samples: u64,
    /// Shards that had a file.
    before: usize,
    width: usize,
    /// Samples without a row, of all shards, and the first.
    left_out: usize,
    first_left_out: Option<Value>,
}

/// Embeds the shards that have no file yet, in order. Memory does not grow with their number.
pub fn run(args: &Args) -> Result<()> {
    check_out(&args.out)?;
    let loaded = checkpoint::find(&args.checkpoint)?.without_moments();
    let mut config = loaded.state.config.clone();
    config.run.workers = args.workers;
    let device = device::choose(args.device)?;
    let set = data::open(&args.shards)?;
    let names = ClassNames::of(&set)?.zip(set.classes());
    let names = names.and_then(|(names, classes)| names.of_classes(classes)).unwrap_or_default();
    Precision::apply_to_evaluation(device)?;
    let network = Network::load(&loaded, device)?;
    let layers = network.encoder().layers();
    if !layers.contains(&&*args.layer) {
        return Err(usage!("there is no layer `{}`", args.layer; "name one of {}", layers.join(", ")));
    }
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make `{}`", args.out.display()))?;
    check_folder(args, &loaded.checksum, set.digest(), config.train.precision.of_evaluation(device))?;
    let progress = Progress::new("sample", 0, set.len());
    let work = Work {
        args,
        set: &set,
        config: &config,
        device,
        network: &network,
        names: &names,
        progress: &progress,
    };
    let mut done = Done::default();
    (0..set.shards().len()).try_for_each(|number| work.shard(number, &mut done))?;
    drop(progress);
    if done.left_out > 0 {
        tracing::warn!(
            "samples left out, as they cannot be read: {}, listed in `{}`",
            done.left_out,
            args.out.join("*.left-out.jsonl").display()
        );
    }
    tell(&json!({
        "out": args.out, "shards": set.shards().len(), "done_before": done.before, "samples": done.samples,
        "left_out": done.left_out, "first_left_out": done.first_left_out, "width": done.width, "layer": args.layer,
        "model": loaded.checksum,
    }))
}

/// Says what was written.
fn tell(written: &Value) -> Result<()> {
    let [samples, shards, width, done] =
        ["samples", "shards", "width", "done_before"].map(|name| &written[name]);
    let out = written["out"].as_str().unwrap_or_default();
    stdout::say(&format!(
        "`{out}`: {samples} samples, {width} numbers each; shards: {shards}, {done} of them done before"
    ))?;
    stdout::print(written)
}

/// The folder of the features, which is not to be taken for a file.
fn check_out(out: &Path) -> Result<()> {
    const FILES: [&str; 6] = ["parquet", "npy", "npz", "csv", "tsv", "safetensors"];
    let end = out.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    if FILES.contains(&end.as_str()) && !out.is_dir() {
        return Err(usage!(
            "`{}` names a file, but each shard gets one of its own", out.display();
            "name a folder with --out, and the format with --format parquet or --format npy"
        ));
    }
    destination::folder(out, Contents::Embeddings, None)
}

/// A folder holds the features of one encoder and layer.
fn check_folder(args: &Args, checksum: &str, set: u64, precision: Precision) -> Result<()> {
    let path = args.out.join("embedding.json");
    let mut ours = json!({
        "model": checksum, "layer": args.layer, "format": args.format.extension(), "shards": args.shards,
        "digest": format!("{set:016x}"),
    });
    if precision != Precision::F32 {
        ours["precision"] = json!(precision.to_string());
    }
    if args.force {
        remove_features(&args.out)?;
    } else if let Ok(bytes) = fs::read(&path) {
        let theirs: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let differing: Vec<_> =
            ours.as_object().into_iter().flatten().filter(|(key, value)| theirs[*key] != **value).collect();
        if let Some((key, now)) = differing.first() {
            let what = match key.as_str() {
                "model" => "encoder",
                "shards" | "digest" => "set of shards",
                other => other,
            };
            let words = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return Err(usage!(
                "`{}` holds features of another {what}: {} then, {} now", args.out.display(), words(&theirs[*key]), words(now);
                "name another folder with --out, or replace them with --force"
            ));
        }
        return Ok(());
    }
    let result = Partial::beside(&path).and_then(|partial| partial.write(format!("{ours:#}\n").as_bytes()));
    written(result, &path)
}

/// Removes what an earlier call has written.
fn remove_features(folder: &Path) -> Result<()> {
    const ENDS: [&str; 4] = [".parquet", ".npy", ".tsv", ".left-out.jsonl"];
    let is_ours = |name: &str| {
        name.split_once('-').is_some_and(|(number, _)| number.parse::<u32>().is_ok())
            && ENDS.iter().any(|end| name.ends_with(end))
    };
    for entry in fs::read_dir(folder)?.flatten().filter(|entry| is_ours(&entry.file_name().to_string_lossy()))
    {
        let path = entry.path();
        fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    Ok(())
}

/// What all shards have in common.
struct Work<'a> {
    args: &'a Args,
    set: &'a ShardSet,
    config: &'a Config,
    device: Device,
    network: &'a Network,
    names: &'a [String],
    progress: &'a Progress,
}

impl Work<'_> {
    /// Embeds a shard, unless it has a file.
    fn shard(&self, number: usize, done: &mut Done) -> Result<()> {
        let Self { args, set, device, .. } = self;
        let name = set.shards()[number].base().trim_end_matches(".tar");
        let path = args.out.join(format!("{number:05}-{name}.{}", args.format.extension()));
        if path.exists() {
            done.before += 1;
            self.progress.advance(set.samples_in(number), Vec::new);
            return done.add_left_out(&path);
        }
        let keys = set.keys(number)?;
        if keys.is_empty() {
            tracing::warn!("{name}: it holds no images");
            return Ok(());
        }
        let part = set.subset(keys.iter().map(|(index, _)| *index).collect());
        let mut sink: Box<dyn Sink> = match args.format {
            Format::Parquet => Box::new(parquet::Writer::create(&path, self.names)?),
            Format::Npy => Box::new(npy::Writer::create(&path, self.names)?),
        };
        let work = || self.rows(name, &part, &keys, &mut *sink);
        let Written { rows, width, bad_samples } =
            device::within_memory(*device, || "embedding".to_owned(), Vec::new, work)?;
        left_out::write(&path, &bad_samples)?;
        sink.finish()?;
        if rows == 0 {
            tracing::warn!("{name}: none of its {} images can be read", keys.len());
        }
        done.samples += rows;
        done.width = done.width.max(width);
        tracing::info!("{}: {rows} samples", path.display());
        done.add_left_out(&path)
    }

    /// Writes the rows of one shard. `keys` are those of the whole shard.
    fn rows(
        &self,
        name: &str,
        part: &ShardSet,
        keys: &[(u64, String)],
        sink: &mut dyn Sink,
    ) -> Result<Written> {
        let mut written = Written { rows: 0, width: 0, bad_samples: Vec::new() };
        let mut feed = images(part, self.config, self.device)?;
        for staged in feed.by_ref() {
            let mut staged = staged?;
            let images = staged.views.images.get(0);
            let values = {
                let _scope = self.config.train.precision.of_evaluation(self.device).autocast(self.device)?;
                tch::no_grad(|| self.network.encoder().pooled(&images, &self.args.layer))
            };
            self.progress.advance(images.size()[0].cast_unsigned(), || vec![name.to_owned()]);
            let values = values.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
            let indices = Vec::<i64>::try_from(&staged.views.indices)?;
            written.width = values.size()[1] as usize;
            let rows = Rows {
                keys: indices.iter().map(|&index| keys[index as usize].1.clone()).collect(),
                labels: Vec::try_from(&staged.views.labels)?,
                values: Vec::try_from(&values.view(-1))?,
                width: written.width,
            };
            ensure!(
                rows.values.iter().all(|value| value.is_finite()),
                "the encoder gives numbers that are not finite"
            );
            written.rows += rows.keys.len() as u64;
            written.bad_samples.append(&mut staged.bad_samples);
            sink.write(rows)?;
        }
        written.bad_samples.extend(feed.finish());
        Ok(written)
    }
}

impl Done {
    /// Counts the samples that have no row in a shard's file.
    fn add_left_out(&mut self, file: &Path) -> Result<()> {
        let samples = left_out::read(file)?;
        self.left_out += samples.len();
        self.first_left_out = self.first_left_out.take().or_else(|| samples.into_iter().next());
        Ok(())
    }
}

/// What became of the samples of a shard.
struct Written {
    rows: u64,
    width: usize,
    bad_samples: Vec<BadSample>,
}
