//! Writes the file.

use std::{collections::HashMap, path::Path};

use anyhow::Result;
use safetensors::SafeTensors;

use super::{
    contents::{Contents, Format, Names},
    description::{Description, METADATA},
    part::parts,
    pth,
    reference::{cursor, encoder, hyperparams},
};
use crate::{checkpoint::Loaded, files::Partial, hint::WithHint, usage};

/// The contents of a written file.
#[derive(Debug)]
pub struct Exported {
    /// The number of tensors.
    pub tensors: usize,
    /// The facts that are needed to use the encoder.
    pub description: Description,
}

/// Writes the model of a checkpoint to a file, which appears complete or not at all.
///
/// # Errors
///
/// If the model has no tensors of the requested names, or if the file cannot be written.
pub fn write(loaded: &Loaded, out: &Path, contents: &Contents) -> Result<Exported> {
    let description = Description::of(loaded);
    let reference = (contents.names == Names::Reference).then(|| encoder(loaded)).transpose()?;
    if contents.names == Names::Torchvision {
        check_resnet(loaded)?;
    }
    let file: SafeTensors = loaded.model()?;
    let parts = parts(&file, loaded, *contents)?;
    let partial = Partial::beside(out).or_cannot_write(out)?;
    let written = match (contents.format, reference) {
        (Format::Safetensors, _) => {
            let metadata = HashMap::from([
                ("format".to_owned(), "pt".to_owned()),
                (METADATA.to_owned(), serde_json::to_string(&description)?),
            ]);
            let named = parts.iter().map(|part| (part.name.as_str(), part));
            safetensors::serialize_to_file(named, Some(metadata), partial.path()).map_err(anyhow::Error::from)
        }
        (Format::Pth, Some(encoder)) => {
            let file = partial.create().or_cannot_write(out)?;
            pth::write(file, &parts, &hyperparams(&description, encoder), &cursor(loaded))
        }
        (Format::Pth, None) => pth::write_state(partial.create().or_cannot_write(out)?, &parts),
    };
    written.and_then(|()| Ok(partial.finish()?)).or_cannot_write(out)?;
    Ok(Exported { tensors: parts.len(), description })
}

/// Checks that torchvision has names for the encoder.
fn check_resnet(loaded: &Loaded) -> Result<()> {
    let encoder = &loaded.state.config.encoder;
    match encoder.any_resnet() {
        Some(_) => Ok(()),
        None => Err(usage!(
            "torchvision has ResNets, not the encoder {}", encoder.chosen().name();
            "leave out --names torchvision"
        )),
    }
}
