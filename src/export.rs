//! `amdim-stream export`: a checkpoint's encoder for use elsewhere.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use pipeline::Preset;
use safetensors::{SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    checkpoint::{self, Loaded},
    destination, model, stdout, usage,
};

/// What `export` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run folder, or one of its checkpoints/step-… folders
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// File to write
    #[arg(long, short, value_name = "FILE.safetensors")]
    pub out: PathBuf,
    /// File format [default: by the end of FILE]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The online probes and the objective's constants, too
    #[arg(long)]
    pub with_probes: bool,
    /// Name the encoder's tensors encoder.module.…, as the reference's checkpoints do, instead of encoder.…
    #[arg(long)]
    pub module: bool,
    /// Replace FILE where it is there already
    #[arg(long)]
    pub force: bool,
}

/// A file format.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Format {
    /// Tensors by name, with metadata; PyTorch, JAX, candle and others read it.
    Safetensors,
}

/// The metadata entry that holds a [`Description`] as JSON.
pub const METADATA: &str = "amdim_stream";

/// What one has to know of an encoder to use it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
    /// The method that it was trained by.
    pub method: String,
    /// The kind of data.
    pub preset: Preset,
    /// Width and height of its images.
    pub side: u32,
    /// Its size.
    pub encoder: model::amdim::Config,
    /// For each channel what is subtracted from pixels of 0 to 255.
    pub mean: [f64; 3],
    /// What they are divided by then.
    pub std: [f64; 3],
    /// Updates that it was trained for.
    pub step: u64,
    /// Classes of the probes, where there are any.
    pub classes: Option<u32>,
    /// The names of the classes that it was trained on, by label; empty where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// Checksum of the checkpoint's model.
    pub checksum: String,
    /// The version of this program.
    pub program: String,
}

/// What of a model is exported, and how it is named.
#[derive(Debug, Clone, Copy, Default)]
pub struct Contents {
    /// The online probes and the objective's constants, too.
    pub with_probes: bool,
    /// The encoder's tensors as `encoder.module.…`.
    pub module: bool,
}

/// Writes the file and prints what is in it.
pub fn run(args: &Args) -> Result<()> {
    check_out(args)?;
    let loaded = checkpoint::find(&args.checkpoint)?;
    let contents = Contents { with_probes: args.with_probes, module: args.module };
    let (tensors, description) = write(&loaded, &args.out, &contents)?;
    let Description { preset, side, step, .. } = &description;
    stdout::say(&format!(
        "`{}`: the encoder of step {step} in {tensors} tensors, {preset}, images of {side}×{side}",
        args.out.display()
    ))?;
    stdout::print(&json!({"file": args.out, "tensors": tensors, "description": description}))
}

/// Refuses a file that would not be what its name says, or would take another's place.
fn check_out(args: &Args) -> Result<()> {
    let checked = match args.format {
        None => destination::file(&args.out, &["safetensors"], args.force),
        Some(Format::Safetensors) => destination::file_of_any_name(&args.out, args.force).map(|()| ""),
    };
    let end = args.out.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    checked.map(drop).map_err(|error| match end.as_str() {
        "pt" | "pth" | "bin" | "ckpt" => {
            usage!("{error}; PyTorch opens that with python/amdim_encoder.py, or safetensors.torch")
        }
        "onnx" => usage!("{error}; tools/to_onnx.py makes ONNX of that"),
        _ => error,
    })
}

/// Writes a checkpoint's model to a file, complete on the disk or not at all; gives the number of its tensors and what it
/// says of itself.
pub fn write(loaded: &Loaded, out: &Path, contents: &Contents) -> Result<(usize, Description)> {
    let config = &loaded.state.config;
    let normalization = config.preset.normalization();
    let description = Description {
        method: "amdim".to_owned(),
        preset: config.preset,
        side: config.preset.side(),
        encoder: config.encoder.clone(),
        mean: normalization.mean,
        std: normalization.std,
        step: loaded.state.step,
        classes: loaded.state.classes,
        class_names: loaded.state.class_names.clone(),
        checksum: loaded.checksum.clone(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let file: SafeTensors = loaded.model()?;
    let name = |name: &str| match name.strip_prefix("encoder.") {
        Some(rest) if contents.module => format!("encoder.module.{rest}"),
        _ => name.to_owned(),
    };
    let tensors: Vec<(String, TensorView)> = file
        .tensors()
        .into_iter()
        .filter(|(name, _)| contents.with_probes || name.starts_with("encoder."))
        .map(|(own, view)| (name(&own), view))
        .collect();
    let metadata = HashMap::from([
        ("format".to_owned(), "pt".to_owned()),
        (METADATA.to_owned(), serde_json::to_string(&description)?),
    ]);
    let (count, partial) = (tensors.len(), out.with_extension("safetensors.partial"));
    let written = safetensors::serialize_to_file(tensors, Some(metadata), &partial)
        .map_err(anyhow::Error::from)
        .and_then(|()| Ok(File::open(&partial)?.sync_all()?))
        .and_then(|()| Ok(fs::rename(&partial, out)?));
    if written.is_err() {
        let _ = fs::remove_file(&partial); // frees a full disk; the error below is what matters
    }
    written.with_context(|| {
        format!("cannot write `{}`\n  hint: its folder has to be there, with room", out.display())
    })?;
    Ok((count, description))
}
