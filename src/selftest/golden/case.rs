//! A case: its description and its golden tensors.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

/// A case of a reference implementation. Each of its tensors is taken once, so that none is left out of the
/// comparisons.
#[derive(Debug)]
pub struct Case {
    /// The name of its files.
    pub name: String,
    /// The description: settings, losses, measured deviations.
    pub facts: Value,
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) device: Device,
}

impl Case {
    /// Reads a case whose tensors are in the bytes of a safetensors file, for comparisons on `device`.
    pub(super) fn read(name: &str, facts: Value, tensors: &[u8], device: Device) -> Result<Self> {
        let read = || -> Result<_> {
            let file = SafeTensors::deserialize(tensors)?;
            let named = file.tensors().into_iter().map(|(name, view)| {
                let tensor = tensor(&view).with_context(|| format!("`{name}`"))?;
                Ok((name, tensor.to_device(device)))
            });
            named.collect()
        };
        let tensors = read().with_context(|| name.to_owned())?;
        Ok(Self { name: name.to_owned(), facts, tensors, device })
    }

    /// Makes a case that has a description only.
    pub(super) fn without_tensors(name: &str, facts: Value, device: Device) -> Self {
        Self { name: name.to_owned(), facts, tensors: BTreeMap::new(), device }
    }

    /// Takes the tensor of this name, in f64 if it is floating-point.
    ///
    /// # Errors
    ///
    /// If the case has no such tensor, or it was taken before.
    pub fn take(&mut self, name: &str) -> Result<Tensor> {
        let tensor = self.tensors.remove(name).with_context(|| format!("{}: no `{name}`", self.name))?;
        Ok(if tensor.is_floating_point() { tensor.to_kind(Kind::Double) } else { tensor })
    }

    /// Takes all tensors whose names begin with `prefix`, and removes the prefix from their names.
    pub(super) fn take_all(&mut self, prefix: &str) -> Result<BTreeMap<String, Tensor>> {
        let names: Vec<_> = self.tensors.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        names.into_iter().map(|name| Ok((name[prefix.len()..].to_owned(), self.take(&name)?))).collect()
    }

    /// Returns the value that the keys lead to in the description; `null` if there is none.
    pub(super) fn fact(&self, keys: &[&str]) -> &Value {
        keys.iter().fold(&self.facts, |value, key| &value[*key])
    }

    pub(super) fn number(&self, keys: &[&str]) -> Result<f64> {
        self.fact(keys).as_f64().with_context(|| format!("{}: no number {keys:?}", self.name))
    }

    pub(super) fn int(&self, keys: &[&str]) -> Result<i64> {
        Ok(self.number(keys)? as i64)
    }

    pub(super) fn list(&self, keys: &[&str]) -> Result<&[Value]> {
        let list = self.fact(keys).as_array();
        Ok(list.with_context(|| format!("{}: no list {keys:?}", self.name))?)
    }

    /// Returns the losses or other numbers under these keys, by name.
    pub(super) fn numbers(&self, keys: &[&str]) -> Result<BTreeMap<String, f64>> {
        serde_json::from_value(self.fact(keys).clone())
            .with_context(|| format!("{}: no numbers {keys:?}", self.name))
    }

    /// Compares a tensor with its golden one.
    ///
    /// # Errors
    ///
    /// If the shapes differ, or the largest difference is not within `bound`, in units of `scale`.
    pub fn close(&self, what: &str, found: &Tensor, golden: &Tensor, scale: f64, bound: f64) -> Result<()> {
        ensure!(found.size() == golden.size(), "{}: shape of {what}", self.name);
        let difference = (found.to_kind(Kind::Double) - golden.to_kind(Kind::Double)).abs();
        let worst = difference.max().double_value(&[]) / scale.max(1e-30);
        ensure!(worst <= bound, "{}: {what} is off by {worst:.2e}, more than {bound:.2e}", self.name);
        Ok(())
    }

    /// Checks that every tensor was taken.
    pub(super) fn finish(&self) -> Result<()> {
        let left = self.tensors.keys();
        ensure!(self.tensors.is_empty(), "{}: not compared: {left:?}", self.name);
        Ok(())
    }
}

fn tensor(view: &TensorView) -> Result<Tensor> {
    let kind = match view.dtype() {
        Dtype::F16 => Kind::Half,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::U8 => Kind::Uint8,
        Dtype::I16 => Kind::Int16,
        Dtype::I32 => Kind::Int,
        Dtype::I64 => Kind::Int64,
        other => bail!("numbers of kind {other:?}"),
    };
    let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    Ok(Tensor::from_data_size(view.data(), &shape, kind))
}

/// Returns the largest absolute value of a tensor.
pub fn absmax(tensor: &Tensor) -> f64 {
    tensor.to_kind(Kind::Double).abs().max().double_value(&[])
}
