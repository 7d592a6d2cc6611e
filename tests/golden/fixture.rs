//! A case of a folder, with its golden tensors.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tch::{Device, Kind, Tensor};

/// A case: its description and its tensors. Each tensor must be taken once.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) facts: Value,
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) device: Device,
}

impl Fixture {
    /// Reads all cases of a kind, for comparisons on `device`. Panics if the project's own folder has none.
    pub(crate) fn all(kind: &str, device: Device) -> Vec<Self> {
        let (folder, own) = folder();
        let of_kind = paths(&folder).into_iter().filter(|path| kind_of(&facts_of(path)) == kind);
        let cases: Vec<_> = of_kind.map(|path| Self::open(&path, device)).collect();
        assert!(!own || !cases.is_empty(), "no `{kind}` in {}", folder.display());
        cases
    }

    fn open(path: &Path, device: Device) -> Self {
        let facts = facts_of(path);
        let tensors = path.with_extension("safetensors");
        let tensors = if tensors.exists() { Tensor::read_safetensors(tensors).unwrap() } else { Vec::new() };
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let tensors = tensors.into_iter().map(|(name, tensor)| (name, tensor.to_device(device)));
        Self { name, facts, tensors: tensors.collect(), device }
    }

    /// Takes the tensor of this name, in f64 if it is floating-point.
    pub(crate) fn take(&mut self, name: &str) -> Tensor {
        let tensor = self.tensors.remove(name).unwrap_or_else(|| panic!("{}: no `{name}`", self.name));
        if tensor.is_floating_point() { tensor.to_kind(Kind::Double) } else { tensor }
    }

    /// Takes all tensors whose names begin with `prefix`, and removes the prefix from their names.
    pub(super) fn take_all(&mut self, prefix: &str) -> BTreeMap<String, Tensor> {
        let names: Vec<_> = self.tensors.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        names.into_iter().map(|name| (name[prefix.len()..].to_owned(), self.take(&name))).collect()
    }

    pub(super) fn number(&self, keys: &[&str]) -> f64 {
        let value = keys.iter().fold(&self.facts, |value, key| &value[*key]);
        value.as_f64().unwrap_or_else(|| panic!("{}: no number {keys:?}", self.name))
    }

    pub(super) fn int(&self, keys: &[&str]) -> i64 {
        self.number(keys) as i64
    }

    /// Panics unless the largest difference is within `bound`, in units of `scale`.
    pub(crate) fn close(&self, what: &str, found: &Tensor, golden: &Tensor, scale: f64, bound: f64) {
        assert_eq!(found.size(), golden.size(), "{}: shape of {what}", self.name);
        let difference = (found.to_kind(Kind::Double) - golden.to_kind(Kind::Double)).abs();
        let worst = difference.max().double_value(&[]) / scale.max(1e-30);
        assert!(worst <= bound, "{}: {what} is off by {worst:.2e}, more than {bound:.2e}", self.name);
    }
}

/// Returns the descriptions of all cases in a folder and in the folders in it, sorted.
pub(crate) fn paths(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read the fixtures in {}: {error}", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let of_entry = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => paths(&path),
        Some(extension) if extension == "json" => vec![path],
        _ => vec![],
    };
    entries.into_iter().flat_map(of_entry).collect()
}

pub(crate) fn facts_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the kind of a case. Only the list of the names of ResNets has none.
pub(crate) fn kind_of(facts: &Value) -> &str {
    match facts["kind"].as_str() {
        Some(kind) => kind,
        None if facts.get("resnet18").is_some() => "resnet_names",
        None => "none",
    }
}

/// Returns the folder, and whether it is the project's own.
pub(crate) fn folder() -> (PathBuf, bool) {
    match env::var_os("AMDIM_FIXTURES") {
        Some(folder) => (folder.into(), false),
        None => (PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"), true),
    }
}

pub(crate) fn absmax(tensor: &Tensor) -> f64 {
    tensor.to_kind(Kind::Double).abs().max().double_value(&[])
}
