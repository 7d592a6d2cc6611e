//! Writing the file.

use std::{collections::HashMap, path::Path};

use anyhow::Result;
use safetensors::SafeTensors;

use super::{
    contents::{Contents, Format},
    description::{Description, METADATA},
    part::parts,
    pth,
    reference::{cursor, hyperparams},
};
use crate::{checkpoint::Loaded, files::Partial, hint::WithHint};

/// Writes a checkpoint's model to a file, complete on the disk or not at all; gives the number of its tensors and what it
/// says of itself.
pub fn write(loaded: &Loaded, out: &Path, contents: &Contents) -> Result<(usize, Description)> {
    let description = Description::of(loaded);
    let file: SafeTensors = loaded.model()?;
    let parts = parts(&file, loaded, *contents)?;
    let partial = Partial::beside(out).or_cannot_write(out)?;
    let written = match contents.format {
        Format::Safetensors => {
            let metadata = HashMap::from([
                ("format".to_owned(), "pt".to_owned()),
                (METADATA.to_owned(), serde_json::to_string(&description)?),
            ]);
            let named = parts.iter().map(|part| (part.name.as_str(), part));
            safetensors::serialize_to_file(named, Some(metadata), partial.path()).map_err(anyhow::Error::from)
        }
        Format::Pth => pth::write(partial.path(), &parts, &hyperparams(&description), &cursor(loaded)),
    };
    written.and_then(|()| Ok(partial.finish()?)).or_cannot_write(out)?;
    Ok((parts.len(), description))
}
