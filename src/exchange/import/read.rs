//! Reads a file of any known format.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use pipeline::Normalization;
use safetensors::{
    Dtype, SafeTensors,
    tensor::{Metadata, TensorView},
};
use tch::{Kind, Tensor};

use super::{
    foreign::{Foreign, has_heads, insert, unwrapped},
    reference, resnet,
};
use crate::{
    checkpoint::kind_of,
    encoder::resnet::Split,
    exchange::export::{self, Description},
    method::MethodConfig,
};

/// Reads the model of a file. The content decides on the format, not the name.
///
/// # Errors
///
/// If the bytes are neither an export of this program, nor a checkpoint of the reference implementation, nor a
/// ResNet of 18, 34 or 50 layers, or are damaged.
pub fn read(bytes: &[u8]) -> Result<Foreign> {
    // A safetensors file begins with a length, which may be any bytes.
    match SafeTensors::read_metadata(bytes) {
        Ok((_, header)) => safetensors(bytes, &header),
        Err(_) if bytes.starts_with(b"PK") || bytes.starts_with(&[0x80]) || bytes.starts_with(b"L") => {
            reference::read(bytes)
        }
        Err(_) => bail!("it is neither a safetensors file nor a file of `torch.save`"),
    }
}

/// Reads an export of this program, or a ResNet under the names of torchvision.
fn safetensors(bytes: &[u8], header: &Metadata) -> Result<Foreign> {
    let metadata = header.metadata().as_ref().and_then(|metadata| metadata.get(export::METADATA));
    let description = metadata.map(|text| serde_json::from_str(text).context("its metadata are damaged"));
    let file = SafeTensors::deserialize(bytes)?;
    match description.transpose()? {
        Some(description) => exported(&file, description),
        None => resnet(&file),
    }
}

/// Reads the tensors of an export.
fn exported(file: &SafeTensors, description: Description) -> Result<Foreign> {
    let is_resnet = description.encoder.any_resnet().is_some();
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let own = resnet::own_name(&name).filter(|_| is_resnet);
        insert(&mut tensors, own.as_deref().unwrap_or(&name), tensor(&name, &view)?)?;
    }
    let method = method(&description, has_heads(&tensors))?;
    let Description { preset, encoder, mean, std, side, step, class_names, .. } = description;
    Ok(Foreign {
        tensors,
        encoder,
        method,
        preset: Some(preset),
        side: Some(side.into()),
        normalization: Some(Normalization { mean, std }),
        step,
        class_names,
    })
}

/// Returns the method that trained an exported encoder: with its settings if the file has its heads, and else
/// with the default ones, since the heads are new then.
fn method(description: &Description, has_heads: bool) -> Result<MethodConfig> {
    if let Some(settings) = description.method_settings.as_ref().filter(|_| has_heads) {
        return Ok(settings.clone());
    }
    let mut method = MethodConfig::named(&description.method, description.preset)?;
    if let (MethodConfig::Amdim(amdim), Some(tclip)) = (&mut method, description.tclip) {
        amdim.tclip = tclip;
    }
    Ok(method)
}

/// Reads a ResNet from a file without a description.
fn resnet(file: &SafeTensors) -> Result<Foreign> {
    let theirs: BTreeMap<_, _> = file.names().into_iter().map(|name| (unwrapped(name), name)).collect();
    let own = resnet::find(&theirs.keys().cloned().collect())?.context(
        "it has no ResNet, and was not written by `amdim-stream export`: its metadata do not describe an encoder",
    )?;
    let named = own.iter().map(|(unwrapped, own)| {
        let name = theirs[unwrapped];
        Ok((own.clone(), tensor(name, &file.tensor(name)?)?))
    });
    resnet::foreign(named.collect::<Result<Vec<_>>>()?, Split::Lab)
}

fn tensor(name: &str, view: &TensorView) -> Result<Tensor> {
    let kind = match view.dtype() {
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        dtype => kind_of(dtype),
    };
    let kind = kind.with_context(|| format!("`{name}` is {:?}", view.dtype()))?;
    let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    Ok(Tensor::from_data_size(view.data(), &shape, kind))
}
