//! `amdim-stream export`: writes the encoder of a checkpoint for other programs.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::{
    checkpoint, destination,
    exchange::export::{Contents, Description, Exported, Format, Names, write},
    hint::WithHint,
    stdout, usage,
};

/// The arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run folder, or one of its checkpoints/step-… folders
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// File to write: .safetensors, or .pth for a checkpoint that the reference implementation loads
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// File format [default: by the extension of FILE]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Export the online probes and the constants of the objective, too
    #[arg(long)]
    pub with_probes: bool,
    /// Names of tensors [default: own; in a .pth file reference]
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

/// The choices that the arguments make.
fn contents_of(args: &Args) -> Result<Contents> {
    let format = format_of(args)?;
    let of_format = if format == Format::Pth { Names::Reference } else { Names::Own };
    let names = args.names.unwrap_or(of_format);
    if format == Format::Pth && names == Names::Own {
        return Err(usage!(
            "a .pth file is for the reference implementation and must have its names";
            "add --names reference, or name a .safetensors file"
        ));
    }
    Ok(Contents { with_probes: args.with_probes || names == Names::Reference, names, format })
}

/// Writes the file and prints its description.
pub fn run(args: &Args) -> Result<()> {
    let contents = contents_of(args)?;
    let loaded = checkpoint::find(&args.checkpoint)?.without_moments();
    let Exported { tensors, description } = write(&loaded, &args.out, &contents)?;
    let Description { preset, side, step, .. } = &description;
    stdout::say(&format!(
        "`{}`: the encoder of step {step} in {tensors} tensors, {preset}, images of {side}×{side}",
        args.out.display()
    ))?;
    stdout::print(&json!({"file": args.out, "tensors": tensors, "description": description}))
}
