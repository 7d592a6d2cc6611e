//! Named tensors as safetensors files, checked on the way in.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, SafeTensors, View};
use tch::{Device, Kind, Tensor};
use xxhash_rust::xxh3::xxh3_64;

/// Named tensors, in the order in which they are written.
pub type Named = BTreeMap<String, Tensor>;

/// The checksum of a file.
pub fn hash(bytes: &[u8]) -> String {
    format!("xxh3:{:016x}", xxh3_64(bytes))
}

/// Writes a file, syncs it and returns its checksum.
pub(super) fn write(path: &Path, named: &Named) -> Result<String> {
    let views = named.iter().map(|(name, tensor)| (name, Stored::new(tensor)));
    let metadata = [("format".to_owned(), "pt".to_owned())];
    safetensors::serialize_to_file(views, Some(metadata.into()), path)
        .with_context(|| format!("`{}`", path.display()))?;
    File::open(path)?.sync_all()?;
    Ok(hash(&fs::read(path)?))
}

/// A tensor that hands out its bytes when they are to be written, so that only one tensor is copied at a time.
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

/// The kinds that are stored.
fn dtypes() -> impl Iterator<Item = (Dtype, Kind)> {
    [
        (Dtype::F32, Kind::Float),
        (Dtype::F64, Kind::Double),
        (Dtype::I64, Kind::Int64),
        (Dtype::U8, Kind::Uint8),
    ]
    .into_iter()
}

/// What a stored kind is called here; none for those that models do not have.
pub(crate) fn kind_of(dtype: Dtype) -> Option<Kind> {
    dtypes().find(|(stored, _)| *stored == dtype).map(|(_, kind)| kind)
}

/// Copies a file's tensors into `named`: the names have to be the same, and each one's shape and kind.
pub(super) fn restore(bytes: &[u8], named: &Named) -> Result<()> {
    let file = SafeTensors::deserialize(bytes)?;
    let foreign: Vec<_> = file.names().into_iter().filter(|name| !named.contains_key(&**name)).collect();
    ensure!(foreign.is_empty(), "has {} unknown tensors, the first being `{}`", foreign.len(), foreign[0]);
    take(&file, named)
}

/// The same of those that `named` holds; what else is in the file is left alone.
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
