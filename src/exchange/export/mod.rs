//! `amdim-stream export`: a checkpoint's encoder for use elsewhere.

mod pth;

use std::{
    borrow::Cow,
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::Result;
use pipeline::Preset;
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tch::{Device, Tensor};

use crate::exchange::export::pth::Number;
use crate::{
    checkpoint::{self, Loaded},
    destination, encoder, files,
    hint::WithHint,
    method::{MethodConfig, amdim},
    network::Network,
    stdout, usage,
};

/// What `export` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run folder, or one of its checkpoints/step-… folders
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// File to write: .safetensors, or .pth for a checkpoint that the reference implementation loads
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// File format [default: by the end of FILE]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The online probes and the objective's constants, too
    #[arg(long)]
    pub with_probes: bool,
    /// How tensors are named [default: own; in a .pth file reference]
    #[arg(long, value_enum)]
    pub names: Option<Names>,
    /// Replace FILE where it is there already
    #[arg(long)]
    pub force: bool,
}

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Tensors by name, with metadata; PyTorch, JAX, candle and others read it.
    #[default]
    Safetensors,
    /// What `torch.save` writes, as the reference's checkpoints are: model, hyperparams, cursor.
    Pth,
}

/// How tensors are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Names {
    /// The encoder's as `encoder.…`.
    #[default]
    Own,
    /// All that a model of the reference holds, probes included, the encoder's as `encoder.module.…`: it loads there as it is.
    Reference,
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
    pub encoder: encoder::amdim::Config,
    /// For each channel what is subtracted from pixels of 0 to 255.
    pub mean: [f64; 3],
    /// What they are divided by then.
    pub std: [f64; 3],
    /// Scores were clipped softly to ± this; none in files of before this was said.
    #[serde(default)]
    pub tclip: Option<f64>,
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

/// What of a model is exported, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct Contents {
    /// The online probes and the objective's constants, too.
    pub with_probes: bool,
    /// How it is named.
    pub names: Names,
    /// What kind of file it is.
    pub format: Format,
}

impl Contents {
    fn of(args: &Args) -> Result<Self> {
        let format = format_of(args)?;
        let of_format = if format == Format::Pth { Names::Reference } else { Names::Own };
        let names = args.names.unwrap_or(of_format);
        if format == Format::Pth && names == Names::Own {
            return Err(usage!(
                "a .pth file for the reference implementation must have its names";
                "add --names reference, or name a .safetensors file"
            ));
        }
        Ok(Self { with_probes: args.with_probes || names == Names::Reference, names, format })
    }
}

/// A tensor to be written.
struct Part<'a> {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    data: Cow<'a, [u8]>,
}

impl View for &Part<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }

    fn data_len(&self) -> usize {
        self.data.len()
    }
}

/// By the end of the file's name, unless it is told; refuses a file that would take another's place.
fn format_of(args: &Args) -> Result<Format> {
    if let Some(format) = args.format {
        return destination::file_of_any_name(&args.out, args.force).map(|()| format);
    }
    let end = args.out.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let found = destination::file(&args.out, &["safetensors", "pth", "pt"], args.force);
    let found = match end.as_str() {
        "bin" | "ckpt" => found.with_hint(
            || "open a .safetensors file in PyTorch with python/amdim_encoder.py or safetensors.torch",
        ),
        "onnx" => found.with_hint(|| "make ONNX of a .safetensors file with tools/to_onnx.py"),
        _ => found,
    }?;
    Ok(if found == "safetensors" { Format::Safetensors } else { Format::Pth })
}

/// Writes the file and prints what is in it.
pub fn run(args: &Args) -> Result<()> {
    let contents = Contents::of(args)?;
    let loaded = checkpoint::find(&args.checkpoint)?;
    if contents.names == Names::Reference && loaded.state.config.encoder.use_bn {
        tracing::warn!(
            "the reference's loader builds encoders without the batch norms that this one computes with (--use-bn): all tensors load \
             there, but its features are others"
        );
    }
    let (tensors, description) = write(&loaded, &args.out, &contents)?;
    let Description { preset, side, step, .. } = &description;
    stdout::say(&format!(
        "`{}`: the encoder of step {step} in {tensors} tensors, {preset}, images of {side}×{side}",
        args.out.display()
    ))?;
    stdout::print(&json!({"file": args.out, "tensors": tensors, "description": description}))
}

/// Writes a checkpoint's model to a file, complete on the disk or not at all; gives the number of its tensors and what it
/// says of itself.
pub fn write(loaded: &Loaded, out: &Path, contents: &Contents) -> Result<(usize, Description)> {
    let description = describe(loaded);
    let file: SafeTensors = loaded.model()?;
    let parts = parts(&file, loaded, *contents)?;
    let partial = files::unfinished(out);
    let written = match contents.format {
        Format::Safetensors => {
            let metadata = HashMap::from([
                ("format".to_owned(), "pt".to_owned()),
                (METADATA.to_owned(), serde_json::to_string(&description)?),
            ]);
            let named = parts.iter().map(|part| (part.name.as_str(), part));
            safetensors::serialize_to_file(named, Some(metadata), &partial).map_err(anyhow::Error::from)
        }
        Format::Pth => pth::write(&partial, &parts, &hyperparams(&description), &cursor(loaded)),
    };
    let written = written
        .and_then(|()| Ok(File::open(&partial)?.sync_all()?))
        .and_then(|()| Ok(fs::rename(&partial, out)?));
    if written.is_err() {
        let _ = fs::remove_file(&partial); // frees a full disk; the error below is what matters
    }
    written.or_cannot_write(out)?;
    Ok((parts.len(), description))
}

fn describe(loaded: &Loaded) -> Description {
    let config = &loaded.state.config;
    let normalization = config.preset.normalization();
    let MethodConfig::Amdim(amdim::Config { tclip, .. }) = config.method;
    Description {
        method: "amdim".to_owned(),
        preset: config.preset,
        side: config.preset.side(),
        encoder: config.encoder.clone(),
        mean: normalization.mean,
        std: normalization.std,
        tclip: Some(tclip),
        step: loaded.state.step,
        classes: loaded.state.classes,
        class_names: loaded.state.class_names.clone(),
        checksum: loaded.checksum.clone(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The tensors that are written, by their names there.
fn parts<'a>(file: &SafeTensors<'a>, loaded: &Loaded, contents: Contents) -> Result<Vec<Part<'a>>> {
    let is_reference = contents.names == Names::Reference;
    let name = |name: &str| match name.strip_prefix("encoder.") {
        Some(rest) if is_reference => format!("encoder.module.{rest}"),
        _ => name.to_owned(),
    };
    let tensors = file.tensors().into_iter();
    let wanted = tensors.filter(|(name, _)| contents.with_probes || name.starts_with("encoder."));
    let mut parts: Vec<_> = wanted
        .map(|(own, view)| Part {
            name: name(&own),
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            data: Cow::Borrowed(view.data()),
        })
        .collect();
    if is_reference && loaded.state.classes.is_none() {
        tracing::warn!(
            "the run has no labels: the file has classifiers of {CLASSES} classes as they are at a beginning"
        );
        parts.extend(new_probes(loaded)?);
    }
    Ok(parts)
}

/// Classes of the classifiers that the reference's model has in any case.
const CLASSES: u32 = 10;

/// Classifiers that nothing was learned by.
fn new_probes(loaded: &Loaded) -> Result<Vec<Part<'static>>> {
    let model = Network::new(&loaded.state.config, Some(CLASSES), Device::Cpu)?.tensors();
    let probes = model.into_iter().filter(|(name, _)| name.starts_with("evaluator."));
    let part = |(name, tensor): (String, Tensor)| {
        let mut data = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.contiguous().copy_data_u8(&mut data, tensor.numel());
        let dtype = if tensor.is_floating_point() { Dtype::F32 } else { Dtype::I64 };
        let shape = tensor.size().iter().map(|&size| size as usize).collect();
        Part { name, dtype, shape, data: data.into() }
    };
    Ok(probes.map(part).collect())
}

/// What the reference makes a model of this size by.
fn hyperparams(description: &Description) -> [(&'static str, Number); 7] {
    let encoder::amdim::Config { ndf, n_rkhs, n_depth, use_bn } = description.encoder;
    let size = |size: i64| Number::Int(size.cast_unsigned());
    [
        ("ndf", size(ndf)),
        ("n_classes", Number::Int(description.classes.unwrap_or(CLASSES).into())),
        ("n_rkhs", size(n_rkhs)),
        ("tclip", Number::Float(description.tclip.unwrap_or(20.0))),
        ("n_depth", size(n_depth)),
        ("encoder_size", Number::Int(description.side.into())),
        ("use_bn", Number::Bool(use_bn)),
    ]
}

/// How far training is.
fn cursor(loaded: &Loaded) -> [(&'static str, Number); 4] {
    let checkpoint::State { step, position, .. } = loaded.state;
    [
        ("info_epoch", Number::Int(position.epoch)),
        ("info_step", Number::Int(step)),
        ("classifier_epoch", Number::Int(0)),
        ("classifier_step", Number::Int(0)),
    ]
}
