//! `amdim-stream export`: writes the encoder of a checkpoint for other programs.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::{
    checkpoint::{self, Loaded},
    config::Config,
    destination,
    exchange::export::{Contents, Description, Exported, Format, Names, timm_config, write},
    files,
    hint::WithHint,
    stdout, usage,
};

/// The arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run folder, or one of its checkpoints/step-… folders
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// File to write: .safetensors, or .pth for torch.load (for a ResNet its state dict, for a run of AMDIM a
    /// checkpoint of the reference implementation; others have none). A ResNet in a file named
    /// model.safetensors gets a config.json beside it, so that timm and Hugging Face's transformers load the
    /// folder
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// File format [default: by the extension of FILE]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Export the online probes and the constants of the objective, too
    #[arg(long)]
    pub with_probes: bool,
    /// Names of tensors [default: torchvision for ResNets, else own; in a .pth file of AMDIM's encoder
    /// reference]
    #[arg(long, value_enum)]
    pub names: Option<Names>,
    /// Replace FILE if it exists
    #[arg(long)]
    pub force: bool,
}

/// The format that is asked for, or else the one of the file's extension. An existing file is refused without
/// `--force`.
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
        "onnx" => found.with_hint(|| "convert a .safetensors file to ONNX with tools/to_onnx.py"),
        _ => found,
    }?;
    Ok(if found == "safetensors" { Format::Safetensors } else { Format::Pth })
}

/// The choices that the arguments make for a model.
fn contents_of(args: &Args, config: &Config) -> Result<Contents> {
    let format = format_of(args)?;
    let names = match (args.names, format) {
        (Some(names), _) => names,
        (None, Format::Safetensors) if config.encoder.any_resnet().is_none() => Names::Own,
        (None, _) => known_names(config).map_or(Names::Own, |(names, _)| names),
    };
    if format == Format::Pth && names == Names::Own {
        let other = known_names(config).map(|(_, name)| format!("add --names {name}, or "));
        return Err(usage!(
            "a .pth file is for other programs and must have names that they know";
            "{}name a .safetensors file", other.unwrap_or_default()
        ));
    }
    Ok(Contents { with_probes: args.with_probes || names == Names::Reference, names, format })
}

/// Returns the names of a model's tensors in other programs, and the value of `--names` for them; `None` if
/// no other program has such a model.
fn known_names(config: &Config) -> Option<(Names, &'static str)> {
    if config.encoder.any_resnet().is_some() {
        return Some((Names::Torchvision, "torchvision"));
    }
    config.method.amdim().map(|_| (Names::Reference, "reference"))
}

/// Returns the place of timm's description of the encoder, and its text, if the file has the name that timm
/// looks for.
fn beside(args: &Args, contents: Contents, loaded: &Loaded) -> Result<Option<(PathBuf, String)>> {
    let is_named = args.out.file_name().is_some_and(|name| name == "model.safetensors");
    if !is_named || contents.names != Names::Torchvision {
        return Ok(None);
    }
    let Some(config) = timm_config(&Description::of(loaded)) else {
        tracing::warn!("timm has no such ResNet: no config.json is written");
        return Ok(None);
    };
    let path = args.out.with_file_name("config.json");
    destination::file(&path, &["json"], args.force)?;
    Ok(Some((path, serde_json::to_string_pretty(&config)?)))
}

/// Writes the file and prints its description.
pub fn run(args: &Args) -> Result<()> {
    let loaded = checkpoint::find(&args.checkpoint)?.without_moments();
    let contents = contents_of(args, &loaded.state.config)?;
    let beside = beside(args, contents, &loaded)?;
    let Exported { tensors, description } = write(&loaded, &args.out, &contents)?;
    if let Some((path, text)) = beside {
        files::replace(&path, text.as_bytes()).or_cannot_write(&path)?;
    }
    let Description { preset, side, step, .. } = &description;
    stdout::say(&format!(
        "`{}`: the encoder of step {step} in {tensors} tensors, {preset}, images of {side}×{side}",
        args.out.display()
    ))?;
    stdout::print(&json!({"file": args.out, "tensors": tensors, "description": description}))
}
