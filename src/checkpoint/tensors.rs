//! Named tensors in safetensors files.

use std::{borrow::Cow, collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, SafeTensors, View};
use tch::{Device, Kind, Tensor};
use xxhash_rust::xxh3::xxh3_64;

/// Tensors by name, in the order in which they are written.
pub type Named = BTreeMap<String, Tensor>;

/// Returns the checksum of the contents of a file.
pub fn hash(bytes: &[u8]) -> String {
    format!("xxh3:{:016x}", xxh3_64(bytes))
}

/// Writes a file without syncing it, and returns its checksum.
pub(super) fn write(path: &Path, named: &Named) -> Result<String> {
    let views = named.iter().map(|(name, tensor)| (name, Stored::new(tensor)));
    let metadata = [("format".to_owned(), "pt".to_owned())];
    safetensors::serialize_to_file(views, Some(metadata.into()), path)
        .with_context(|| format!("`{}`", path.display()))?;
    Ok(hash(&fs::read(path)?))
}

/// A tensor whose bytes are copied only while they are written, so that one tensor is copied at a time.
struct Stored<'a> {
    tensor: &'a Tensor,
    shape: Vec<usize>,
    dtype: Dtype,
}

impl<'a> Stored<'a> {
    fn new(tensor: &'a Tensor) -> Self {
        let shape = tensor.size().iter().map(|&size| size as usize).collect();
        let (dtype, _) =
            dtypes().find(|(_, kind)| *kind == tensor.kind()).expect("models are f32, f64, i64 and u8");
        Self { tensor, shape, dtype }
    }
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        self.tensor.to_device(Device::Cpu).contiguous().copy_data_u8(&mut bytes, self.tensor.numel());
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.tensor.kind().elt_size_in_bytes()
    }
}

/// Returns the kinds of tensors that are stored.
fn dtypes() -> impl Iterator<Item = (Dtype, Kind)> {
    [
        (Dtype::F32, Kind::Float),
        (Dtype::F64, Kind::Double),
        (Dtype::I64, Kind::Int64),
        (Dtype::U8, Kind::Uint8),
    ]
    .into_iter()
}

/// Returns the kind of a stored tensor, or `None` for a kind that models do not have.
pub(crate) fn kind_of(dtype: Dtype) -> Option<Kind> {
    dtypes().find(|(stored, _)| *stored == dtype).map(|(_, kind)| kind)
}

/// Copies all tensors of a file into `named`.
///
/// # Errors
///
/// If names, shapes or kinds differ.
pub(super) fn restore(bytes: &[u8], named: &Named) -> Result<()> {
    let file = SafeTensors::deserialize(bytes)?;
    let foreign: Vec<_> = file.names().into_iter().filter(|name| !named.contains_key(&**name)).collect();
    ensure!(foreign.is_empty(), "has {} unknown tensors, the first being `{}`", foreign.len(), foreign[0]);
    take(&file, named)
}

/// Copies the tensors that `named` has, and ignores the others in the file.
///
/// # Errors
///
/// If one is missing, or has another shape or kind.
pub(super) fn restore_some(bytes: &[u8], named: &Named) -> Result<()> {
    take(&SafeTensors::deserialize(bytes)?, named)
}

fn take(file: &SafeTensors, named: &Named) -> Result<()> {
    let stored: BTreeMap<_, _> = file.iter().collect();
    let missing: Vec<_> = named.keys().filter(|name| !stored.contains_key(name.as_str())).collect();
    ensure!(missing.is_empty(), "lacks {} tensors, the first being `{}`", missing.len(), missing[0]);
    for (name, target) in named {
        let (view, mut target) = (&stored[name.as_str()], target.shallow_clone());
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        ensure!(shape == target.size(), "`{name}` has shape {shape:?} instead of {:?}", target.size());
        let kind = kind_of(view.dtype());
        ensure!(kind == Some(target.kind()), "`{name}` is {:?} instead of {:?}", view.dtype(), target.kind());
        let source = Tensor::from_data_size(view.data(), &shape, target.kind());
        tch::no_grad(|| target.copy_(&source));
    }
    Ok(())
}
