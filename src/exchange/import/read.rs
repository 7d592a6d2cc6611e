//! The model that a file holds, by what the file is.

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
    encoder::EncoderConfig,
    exchange::export::{self, Description},
};

/// A model by what the file is, whatever it is called.
///
/// # Errors
///
/// What is neither an export nor a checkpoint of the reference, and what is damaged.
pub fn read(bytes: &[u8]) -> Result<Foreign> {
    // A safetensors file begins with a length, which may be any bytes.
    match SafeTensors::read_metadata(bytes) {
        Ok((_, header)) => safetensors(bytes, &header),
        Err(_) if bytes.starts_with(b"PK") || bytes.starts_with(&[0x80]) || bytes.starts_with(b"L") => {
            pth::read(bytes)
        }
        Err(_) => bail!("it is neither a safetensors file nor what `torch.save` writes"),
    }
}

/// An export of ours.
fn safetensors(bytes: &[u8], header: &Metadata) -> Result<Foreign> {
    let metadata = header.metadata().as_ref().and_then(|metadata| metadata.get(export::METADATA));
    let metadata = metadata
        .context("it was not made by `amdim-stream export`: its metadata do not say which encoder it is")?;
    let description: Description = serde_json::from_str(metadata).context("its metadata are damaged")?;
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let kind = kind_of(view.dtype()).with_context(|| format!("`{name}` is {:?}", view.dtype()))?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        insert(&mut tensors, &name, Tensor::from_data_size(view.data(), &shape, kind))?;
    }
    let Description { encoder, side, step, tclip, class_names, .. } = description;
    let EncoderConfig::Amdim(encoder) = encoder;
    Ok(Foreign { tensors, encoder, side: side.into(), tclip, step, class_names })
}
