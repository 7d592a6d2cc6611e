//! The tensors of an exported file.

use std::borrow::Cow;

use anyhow::Result;
use safetensors::{Dtype, SafeTensors, View};
use tch::{Device, Tensor};

use super::contents::{Contents, Names};
use crate::{checkpoint::Loaded, network::Network};

/// A tensor to be written.
pub(super) struct Part<'a> {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) data: Cow<'a, [u8]>,
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

/// Returns the tensors of the file, under their names there.
pub(super) fn parts<'a>(
    file: &SafeTensors<'a>,
    loaded: &Loaded,
    contents: Contents,
) -> Result<Vec<Part<'a>>> {
    let is_reference = contents.names == Names::Reference;
    let name = |name: &str| match (name.strip_prefix("encoder."), contents.names) {
        (Some(rest), Names::Reference) => format!("encoder.module.{rest}"),
        (Some(rest), Names::Torchvision) => rest.to_owned(),
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
            "the run has no labels: the classifiers in the file have {CLASSES} classes and are not trained"
        );
        parts.extend(new_probes(loaded)?);
    }
    Ok(parts)
}

/// The number of classes of a model without labels. A model of the reference implementation always has
/// classifiers.
pub(super) const CLASSES: u32 = 10;

/// Returns freshly initialized classifiers.
fn new_probes(loaded: &Loaded) -> Result<Vec<Part<'static>>> {
    let model =
        Network::new(&loaded.state.config, loaded.state.data.samples, Some(CLASSES), Device::Cpu)?.tensors();
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
