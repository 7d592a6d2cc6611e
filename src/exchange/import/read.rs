//! Reads a file of any known format.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use safetensors::{SafeTensors, tensor::Metadata};
use tch::Tensor;

use super::{
    foreign::{Foreign, insert},
    pth,
};
use crate::{
    checkpoint::kind_of,
    exchange::export::{self, Description},
    method::MethodConfig,
};

/// Reads the model of a file. The content decides on the format, not the name.
///
/// # Errors
///
/// If the bytes are neither an export of this program nor a checkpoint of the reference implementation, or
/// are damaged.
pub fn read(bytes: &[u8]) -> Result<Foreign> {
    // A safetensors file begins with a length, which may be any bytes.
    match SafeTensors::read_metadata(bytes) {
        Ok((_, header)) => safetensors(bytes, &header),
        Err(_) if bytes.starts_with(b"PK") || bytes.starts_with(&[0x80]) || bytes.starts_with(b"L") => {
            pth::read(bytes)
        }
        Err(_) => bail!("it is neither a safetensors file nor a file of `torch.save`"),
    }
}

/// Reads an export of this program.
fn safetensors(bytes: &[u8], header: &Metadata) -> Result<Foreign> {
    let metadata = header.metadata().as_ref().and_then(|metadata| metadata.get(export::METADATA));
    let metadata = metadata
        .context("it was not written by `amdim-stream export`: its metadata do not describe an encoder")?;
    let description: Description = serde_json::from_str(metadata).context("its metadata are damaged")?;
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let kind = kind_of(view.dtype()).with_context(|| format!("`{name}` is {:?}", view.dtype()))?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        insert(&mut tensors, &name, Tensor::from_data_size(view.data(), &shape, kind))?;
    }
    let Description { method, preset, encoder, side, step, tclip, class_names, .. } = description;
    let mut method = MethodConfig::named(&method, preset)?;
    if let (MethodConfig::Amdim(amdim), Some(tclip)) = (&mut method, tclip) {
        amdim.tclip = tclip;
    }
    Ok(Foreign { tensors, encoder, method, side: side.into(), step, class_names })
}
