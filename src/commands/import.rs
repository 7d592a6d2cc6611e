//! `amdim-stream import`: an export, or a checkpoint of the reference implementation, as a run folder of ours.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use pipeline::Preset;
use serde_json::json;
use shards::Position;

use crate::{
    checkpoint::{Checkpoints, DataIdentity, Retention, State},
    config::Config,
    destination::{self, Contents},
    exchange::import::{Imported, load},
    files::{self, Partial},
    optim::Adam,
    stdout, usage,
};

/// What `import` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .safetensors file of `amdim-stream export`, or a .pth file of the reference implementation
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Run folder to make
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Augmentation and evaluation recipe [default: c10, stl10 or in128 by the side of the encoder's images]
    #[arg(long)]
    pub preset: Option<Preset>,
}

/// Reads the file and writes a checkpoint that `eval`, `embed`, `export` and `--warm-start` take.
pub fn run(args: &Args) -> Result<()> {
    if args.out.join("checkpoints").exists() {
        return Err(usage!("`{}` is already a run", args.out.display(); "name another folder with --out"));
    }
    destination::folder(&args.out, Contents::Nothing, None)?;
    let Imported { config, classes, class_names, step, network } = load(&args.file, args.preset)?;
    let config = Config { out: args.out.clone(), ..config };
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make `{}`", args.out.display()))?;
    let unfinished = begin(&args.out)?;
    config.write(&unfinished.path().join("config.toml"))?;
    let state = State {
        step,
        position: Position::default(),
        data: DataIdentity { digest: 0, samples: 0 },
        classes,
        class_names,
        config: config.clone(),
    };
    let retention = Retention { keep: 1, keep_every: 0 };
    let path = Checkpoints::of(unfinished.path()).save(
        &state,
        &network.tensors(),
        &Adam::new(network.vars(), &config.optim).moments(),
        retention,
    )?;
    let path = args.out.join(path.strip_prefix(unfinished.path())?);
    fill(&args.out, unfinished.path())
        .with_context(|| format!("cannot write to `{}`", args.out.display()))?;
    stdout::say(&format!(
        "`{}`: a run of preset {} at step {step}, its checkpoint is `{}`",
        args.out.display(),
        config.preset,
        path.display()
    ))?;
    stdout::print(&json!({
        "run": args.out, "checkpoint": path, "preset": config.preset.to_string(), "classes": classes, "encoder": config.encoder,
    }))
}

/// A folder within that of the run, where the run is made; removed on drop.
fn begin(run: &Path) -> Result<Partial> {
    let within = run.join("import");
    let partial = Partial::beside(&within)?;
    fs::create_dir_all(partial.path())
        .with_context(|| format!("cannot make `{}`", partial.path().display()))?;
    Ok(partial)
}

/// Puts all of it into the run folder, the checkpoints last: with them it is a run.
fn fill(run: &Path, made: &Path) -> io::Result<()> {
    let names = ["config.toml", "checkpoints"];
    names.into_iter().try_for_each(|name| files::move_to(&made.join(name), &run.join(name)))
}
