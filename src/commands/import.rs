//! `amdim-stream import`: makes a run folder from an export, from a checkpoint of the reference
//! implementation, or from a ResNet of another program.

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
    network::OnlineProbe,
    optim::Optimizer,
    stdout, usage,
};

/// The flags of `import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file of `amdim-stream export`, a checkpoint of AMDIM's reference implementation, or a ResNet of
    /// torchvision, timm, MoCo, VISSL, Lightly, instance discrimination or CMC
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Run folder to make
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Augmentation and evaluation recipe [default: that of the export; else by the encoder: by the side of
    /// AMDIM's images, in224 for a ResNet, c10 for one with a 3×3 stem]
    #[arg(long)]
    pub preset: Option<Preset>,
}

/// Reads the file and writes a checkpoint that `eval`, `embed`, `export` and `--warm-start` take.
pub fn run(args: &Args) -> Result<()> {
    if args.out.join("checkpoints").exists() {
        return Err(usage!("`{}` is already a run", args.out.display(); "name another folder with --out"));
    }
    destination::folder(&args.out, Contents::Nothing, None)?;
    let imported = load(&args.file, args.preset)?;
    let imported = Imported { config: Config { out: args.out.clone(), ..imported.config }, ..imported };
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create `{}`", args.out.display()))?;
    let unfinished = begin(&args.out)?;
    let path = save(&imported, unfinished.path())?;
    let path = args.out.join(path.strip_prefix(unfinished.path())?);
    move_into(&args.out, unfinished.path())
        .with_context(|| format!("cannot write to `{}`", args.out.display()))?;
    let Imported { config, classes, step, .. } = imported;
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

/// Creates a folder within the run folder in which the run is prepared. It is removed on drop.
fn begin(run: &Path) -> Result<Partial> {
    let within = run.join("import");
    let partial = Partial::beside(&within)?;
    fs::create_dir_all(partial.path())
        .with_context(|| format!("cannot create `{}`", partial.path().display()))?;
    Ok(partial)
}

/// Writes the configuration and a checkpoint of the imported network into `folder`. Returns the path of the
/// checkpoint.
fn save(imported: &Imported, folder: &Path) -> Result<PathBuf> {
    let Imported { config, classes, class_names, step, network } = imported;
    config.write(&folder.join("config.toml"))?;
    let state = State {
        step: *step,
        position: Position::default(),
        data: DataIdentity { digest: 0, samples: 0 },
        classes: *classes,
        class_names: class_names.clone(),
        config: config.clone(),
    };
    let retention = Retention { keep: 1, keep_every: 0 };
    let moments = Optimizer::with_probe(network.vars(), OnlineProbe::PATH, &config.optim).moments();
    Checkpoints::of(folder).save(&state, &network.tensors(), &moments, retention)
}

/// Moves the prepared files into the run folder. The checkpoints come last, since they make the folder a run.
fn move_into(run: &Path, prepared: &Path) -> io::Result<()> {
    let names = ["config.toml", "checkpoints"];
    names.into_iter().try_for_each(|name| files::move_to(&prepared.join(name), &run.join(name)))
}
