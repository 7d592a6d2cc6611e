//! `amdim-stream embed`: the features of every sample, a file for each shard.

mod npy;
mod parquet;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shards::ShardSet;
use tch::{Device, Kind, Tensor};

use crate::{
    checkpoint,
    classes::ClassNames,
    data,
    eval::images,
    signals, stdout,
    sys::{self, DeviceChoice, Precision},
    terminal::Progress,
    train::Trainer,
    usage,
};

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
    /// r1 (the features), or the mean over the locations of r5 or r7
    #[arg(long, default_value = "r1")]
    pub layer: String,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Decoding threads [default: one a core]
    #[arg(long, value_name = "N")]
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

/// Some samples of a shard, in its order.
struct Rows {
    keys: Vec<String>,
    /// None below 0.
    labels: Vec<i64>,
    /// All of them, one after the other.
    values: Vec<f32>,
    width: usize,
}

/// The name of a label's class, where there is one.
fn class_of(names: &[String], label: i64) -> Option<&str> {
    names.get(usize::try_from(label).ok()?).map(String::as_str)
}

/// Where a shard's rows go. Nothing is there under its name until it is finished.
trait Sink {
    fn write(&mut self, rows: Rows) -> Result<()>;
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Embeds the shards that have no file yet, in order. Memory does not grow with their number.
pub fn run(args: &Args) -> Result<()> {
    let loaded = checkpoint::find(&args.checkpoint)?;
    let mut config = loaded.state.config.clone();
    config.run.workers = args.workers;
    let device = sys::device(args.device)?;
    let set = data::open(&args.shards)?;
    let names = ClassNames::of(&set)?.zip(set.classes());
    let names = names.and_then(|(names, classes)| names.of_classes(classes)).unwrap_or_default();
    Precision::F32.apply()?;
    let trainer = Trainer::untrained(&config, loaded.state.classes, device)?;
    trainer.restore_model(&loaded)?;
    let layers = trainer.encoder().layers();
    if !layers.contains(&&*args.layer) {
        return Err(usage!("no layer `{}`\n  hint: one of {}", args.layer, layers.join(", ")));
    }
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make `{}`", args.out.display()))?;
    check_folder(args, &loaded.checksum, set.digest())?;
    let (mut samples, mut width, mut done, mut left_out) = (0, 0, 0, 0);
    let progress = Progress::new("sample", 0, set.len());
    for (number, shard) in set.shards().iter().enumerate() {
        let name = shard.base().trim_end_matches(".tar");
        let path = args.out.join(format!("{number:05}-{name}.{}", args.format.extension()));
        if path.exists() {
            done += 1;
            progress.advance(set.samples_in(number), Vec::new);
            continue;
        }
        let keys = set.keys(number)?;
        if keys.is_empty() {
            tracing::warn!("{name}: it holds no images");
            continue;
        }
        let part = set.subset(keys.iter().map(|(index, _)| *index).collect());
        let mut sink: Box<dyn Sink> = match args.format {
            Format::Parquet => Box::new(parquet::Writer::create(&path, &names)?),
            Format::Npy => Box::new(npy::Writer::create(&path, &names)?),
        };
        let of = |images: &Tensor| {
            let pooled = trainer.encoder().pooled(images, &args.layer);
            progress.advance(images.size()[0].cast_unsigned(), || vec![name.to_owned()]);
            pooled
        };
        let work = || embed(&part, &keys, &config, device, of, &mut *sink);
        let (written, channels) = sys::within_memory(device, || "embedding".to_owned(), Vec::new, work)?;
        sink.finish()?;
        if written == 0 {
            tracing::warn!("{name}: none of its {} images can be read", keys.len());
        }
        left_out += keys.len() as u64 - written;
        samples += written;
        width = width.max(channels);
        tracing::info!("{}: {written} samples", path.display());
    }
    drop(progress);
    if left_out > 0 {
        tracing::warn!("{left_out} unreadable samples are left out");
    }
    tell(&json!({
        "out": args.out, "shards": set.shards().len(), "done_before": done, "samples": samples, "left_out": left_out,
        "width": width, "layer": args.layer, "model": loaded.checksum,
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

/// A folder holds the features of one encoder and layer.
fn check_folder(args: &Args, checksum: &str, set: u64) -> Result<()> {
    let path = args.out.join("embedding.json");
    let ours = json!({
        "model": checksum, "layer": args.layer, "format": args.format.extension(), "shards": args.shards,
        "digest": format!("{set:016x}"),
    });
    if let Ok(bytes) = fs::read(&path) {
        let theirs: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if theirs != ours {
            return Err(usage!(
                "`{}` holds features of another encoder, layer, format or set of shards\n  hint: another folder with --out",
                args.out.display()
            ));
        }
        return Ok(());
    }
    fs::write(partial(&path), format!("{ours:#}\n"))
        .and_then(|()| fs::rename(partial(&path), &path))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// Writes the rows of one shard; gives their number and width. `keys` are those of the whole shard.
fn embed(
    part: &ShardSet,
    keys: &[(u64, String)],
    config: &crate::config::Config,
    device: Device,
    of: impl Fn(&Tensor) -> Tensor,
    sink: &mut dyn Sink,
) -> Result<(u64, usize)> {
    let (mut written, mut width) = (0, 0);
    for staged in images(part, config, device)?.by_ref() {
        let staged = staged?;
        let values = tch::no_grad(|| of(&staged.views.images.get(0)));
        let values = values.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
        let indices = Vec::<i64>::try_from(&staged.views.indices)?;
        width = values.size()[1] as usize;
        let rows = Rows {
            keys: indices.iter().map(|&index| keys[index as usize].1.clone()).collect(),
            labels: Vec::try_from(&staged.views.labels)?,
            values: Vec::try_from(&values.view(-1))?,
            width,
        };
        ensure!(
            rows.values.iter().all(|value| value.is_finite()),
            "the encoder gives numbers that are not finite"
        );
        written += rows.keys.len() as u64;
        sink.write(rows)?;
    }
    Ok((written, width))
}

/// Where this process writes a file until it is whole.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(signals::unfinished_suffix());
    name.into()
}
